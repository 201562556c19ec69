"""The ``cells`` frame: one row per image, the same columns for every data set.

``sha256`` is the hash of the decoded pixels, not of the file's bytes: the same image as BMP and as
PNG has one hash (see `leukkit.datasets.files.pixel_hash`). ``subject`` joins the patients that
share such a hash: two patients with the very same cell are taken to be one subject.
"""

import itertools
import pathlib
import re
import warnings

import pandas as pd

from leukkit.datasets.files import examine

TEXT = pd.StringDtype("python")
COLUMNS = {
    "image_id": TEXT,
    "path": TEXT,
    "label": TEXT,
    "patient": TEXT,
    "source_image": TEXT,
    "split": TEXT,
    "fold": "Int64",
    "sha256": TEXT,
    "subject": TEXT,
}
OPTIONAL_COLUMNS = {"crop": "Int64", "mask": TEXT, "sequence": TEXT, "number": "Int64"}
DAMAGED = ("error", "drop", "keep")
LISTED_FILES = 10


class DatasetError(ValueError):
    """A folder does not hold the data set that was asked for, or not in a usable form."""


class DamagedImagesError(DatasetError):
    """Image files that are truncated, empty, of the wrong size or mode, or no images."""


def build(records, dataset, root, classes, damaged="error"):
    """Verify and hash the files of a data set and lay them out as the ``cells`` frame.

    Args:
        records: One dictionary per image, with the columns of the frame from ``image_id`` to
            ``fold`` and any of the optional ``subject, crop, mask, sequence, number``; a missing
            key is a missing value. ``side``, not a column, is the height and width in pixels that
            the image must have.
        dataset: Name of the data set.
        root: Its folder.
        classes: Class names in the order of every table; the last is the positive one of two.
        damaged: ``"error"`` refuses damaged images, ``"drop"`` leaves them out with a warning,
            ``"keep"`` keeps them and says why in a column ``damage``.

    Returns:
        The ``cells`` frame. ``attrs`` holds ``dataset``, ``root``, ``classes`` and ``dropped``: a
        tuple of (image_id, path, reason) of the images left out.

    Raises:
        DamagedImagesError: With ``damaged="error"``, listing the files.
        DatasetError: There are no images, or an ``image_id`` stands for two files.
        ValueError: ``damaged`` is something else.
    """
    if damaged not in DAMAGED:
        raise ValueError(f"damaged={damaged!r}: expected one of {', '.join(DAMAGED)}")
    if not records:
        raise DatasetError(f"{root}: no images of {dataset} in this folder")
    given = pd.DataFrame(records)
    cells = pd.DataFrame(index=given.index)
    for column, dtype in {**COLUMNS, **OPTIONAL_COLUMNS}.items():
        if column in given:
            cells[column] = given[column].astype(dtype)
        elif column in COLUMNS:
            cells[column] = pd.array([pd.NA] * len(given), dtype=dtype)
    cells["path"] = cells["path"].map(lambda path: str(pathlib.Path(path).absolute())).astype(TEXT)
    _refuse_twice_the_same_id(cells)

    findings = examine(cells["path"])
    cells["sha256"] = findings["sha256"]
    damage = findings["damage"]
    if "side" in given:
        damage = damage.fillna(wrong_sizes(findings, given["side"]))
    dropped = ()
    if damage.notna().any():
        if damaged == "error":
            raise DamagedImagesError(_damage_message(cells["path"], damage))
        if damaged == "drop":
            bad = damage.notna()
            dropped = tuple(
                zip(cells["image_id"][bad], cells["path"][bad], damage[bad], strict=True)
            )
            warnings.warn(f"{dataset}: {len(dropped)} damaged images left out", stacklevel=3)
            cells = cells[~bad].reset_index(drop=True)
    if damaged == "keep":
        cells["damage"] = damage

    linked = pd.Series(link_subjects(cells["patient"], cells["sha256"]), index=cells.index)
    cells["subject"] = cells["subject"].fillna(linked.astype(TEXT))
    cells.attrs = {
        "dataset": dataset,
        "root": str(root),
        "classes": tuple(classes),
        "dropped": dropped,
    }
    return cells


def link_subjects(patients, hashes):
    """Join patients that share an image: union-find over equal hashes.

    Args:
        patients: Patient of each image; missing where unknown.
        hashes: Hash of each image; missing where unknown.

    Returns:
        List with the subject of each image: the names of its linked patients in natural order,
        joined with ``+`` (``"57"``, ``"51+75+78"``), or ``pandas.NA`` where the patient is missing.
    """
    frame = pd.DataFrame({"patient": list(patients), "sha256": list(hashes)})
    parent = {patient: patient for patient in frame["patient"].dropna()}

    def find(patient):
        while parent[patient] != patient:
            patient = parent[patient]
        return patient

    for _, sharing in frame.dropna().groupby("sha256")["patient"]:
        for first, second in itertools.pairwise(sharing.unique()):
            parent[find(first)] = find(second)

    members = {}
    for patient in sorted(parent, key=natural_order):
        members.setdefault(find(patient), []).append(patient)
    names = {patient: "+".join(group) for group in members.values() for patient in group}
    return [names.get(patient, pd.NA) for patient in frame["patient"]]


def join_subjects(cells, subjects):
    """Join patients whom a reader takes for one subject, on other evidence than identical images.

    The kit joins on nothing but identical images: a near-duplicate is no proof (see
    `leukkit.datasets.near_duplicates`). This is for whoever has looked at the pairs.

    Args:
        cells: The ``cells`` frame.
        subjects: Lists of patients, e.g. ``[["H2", "H7"]]``. All that is linked to one of them
            already comes along.

    Returns:
        A copy of the frame with other subjects, named as in `link_subjects`.

    Raises:
        DatasetError: A patient is not in the data set.
    """
    joined = cells.copy()
    for patients in subjects:
        if unknown := sorted(set(patients) - set(cells["patient"].dropna())):
            raise DatasetError(
                f"{cells.attrs['dataset']} has no patient {', '.join(unknown)}: {patients} cannot "
                "be joined into one subject"
            )
        linked = joined["subject"][joined["patient"].isin(patients)].unique()
        members = joined["subject"].isin(linked)
        names = sorted(joined["patient"][members].unique(), key=natural_order)
        joined.loc[members, "subject"] = "+".join(names)
    return joined


def natural_order(text):
    """Return a sort key under which ``"H2"`` comes before ``"H10"``, and numbers before letters."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", text)]


def wrong_sizes(findings, side):
    """Return a text for each image whose height or width is not the expected side, else NA."""
    wrong = findings["height"].ne(side) | findings["width"].ne(side)
    texts = [
        f"wrong size: {height}x{width} pixels, {expected}x{expected} was expected"
        if is_wrong
        else pd.NA
        for height, width, expected, is_wrong in zip(
            findings["height"], findings["width"], side, wrong.fillna(False), strict=True
        )
    ]
    return pd.Series(texts, index=findings.index, dtype=TEXT)


def _refuse_twice_the_same_id(cells):
    twice = cells[cells["image_id"].duplicated(keep=False)]
    if len(twice):
        name = twice["image_id"].iloc[0]
        first, second = twice["path"][twice["image_id"] == name].iloc[:2]
        raise DatasetError(
            f"{twice['image_id'].nunique()} images are there more than once, e.g. {name} as "
            f"{first} and {second}. Point root at one copy of the data set, or move the other away"
        )


def _damage_message(paths, damage):
    bad = damage.notna()
    listed = [f"  {path}: {reason}" for path, reason in zip(paths[bad], damage[bad], strict=True)]
    more = len(listed) - LISTED_FILES
    if more > 0:
        listed = [*listed[:LISTED_FILES], f"  … and {more} more"]
    return "\n".join(
        [
            f"{bad.sum()} damaged images:",
            *listed,
            'Download these files again, or leave them out with damaged="drop"; '
            'damaged="keep" loads everything, for leukkit.datasets.check',
        ]
    )
