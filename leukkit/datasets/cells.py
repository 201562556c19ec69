"""The ``cells`` frame: one row per image, the same columns for every data set.

``sha256`` is the hash of the decoded pixels, not of the file's bytes: the same image as BMP and as
PNG has one hash (see `leukkit.datasets.decode.pixel_hash`). ``subject`` joins the patients that
share such a hash: two patients with the very same cell are taken to be one subject.
"""

import os
import pathlib
import re
import warnings
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from leukkit.datasets.decode import verify_all

TEXT = pd.StringDtype("python")
COLUMNS: dict = {
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
OPTIONAL_COLUMNS: dict = {"crop": "Int64", "mask": TEXT, "sequence": TEXT, "number": "Int64"}
PROXY = "proxy:"  # begins the name of a block that stands in for a subject
DAMAGED = ("error", "drop", "keep")
LISTED_FILES = 10


class DatasetError(ValueError):
    """A folder does not hold the data set that was asked for, or not in a usable form."""


class DamagedImagesError(DatasetError):
    """Image files that are truncated, empty, of the wrong size or mode, or no images."""


def build(
    records: list[dict],
    dataset: str,
    root: str | os.PathLike,
    classes: Iterable[str],
    damaged: str = "error",
    gray: bool = False,
) -> pd.DataFrame:
    """Verify and hash the files of a data set and lay them out as the ``cells`` frame.

    Args:
        records: One per image, with the columns of the frame from ``image_id`` to ``fold`` and any
            of the optional ``subject, crop, mask, sequence, number``; a missing key is a missing
            value. ``side``, not a column, is the height and width in pixels that the image must
            have.
        dataset: Name of the data set.
        root: Its folder.
        classes: Class names in the order of every table; the last is the positive one of two.
        damaged: As in `leukkit.datasets.load`.
        gray: Whether gray images are turned into RGB; else they are damaged.

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
    types = COLUMNS | {name: OPTIONAL_COLUMNS[name] for name in OPTIONAL_COLUMNS if name in given}
    cells = given.reindex(columns=list(types)).astype(types)
    cells["path"] = cells["path"].map(lambda path: str(pathlib.Path(path).absolute())).astype(TEXT)
    _refuse_twice_the_same_id(cells)

    findings = verify_all(cells["path"], gray=gray)
    cells["sha256"] = findings["sha256"]
    damage = findings["damage"]
    if "side" in given:
        damage = damage.fillna(wrong_sizes(findings, given["side"]))
    bad = cells[["image_id", "path"]].assign(damage=damage).dropna()
    dropped: tuple = ()
    if damaged == "keep":
        cells["damage"] = damage
    elif len(bad):
        if damaged == "error":
            raise DamagedImagesError(_damage_message(bad))
        dropped = tuple(bad.itertuples(index=False, name=None))
        warnings.warn(f"{dataset}: {len(bad)} unusable images left out", stacklevel=4)
        cells = cells.drop(index=bad.index).reset_index(drop=True)

    linked = link_subjects(cells["patient"], cells["sha256"])
    cells["subject"] = cells["subject"].fillna(pd.Series(linked, index=cells.index, dtype=TEXT))
    cells.attrs = {
        "dataset": dataset,
        "root": str(root),
        "classes": tuple(classes),
        "dropped": dropped,
    }
    return cells


def link_subjects(patients: Iterable, hashes: Iterable) -> list:
    """Join patients that share an image: the connected components of patients and hashes.

    Args:
        patients: Patient of each image; missing where unknown.
        hashes: Hash of each image; missing where unknown.

    Returns:
        The subject of each image: the names of its linked patients in natural order, joined with
        ``+`` (``"57"``, ``"51+75+78"``), or ``pandas.NA`` where the patient is missing.
    """
    patient, names = pd.factorize(pd.Series(list(patients), dtype=TEXT))
    image, images = pd.factorize(pd.Series(list(hashes), dtype=TEXT))
    edge = (patient >= 0) & (image >= 0)  # missing values have the code -1
    nodes = len(names) + len(images)
    pairs = (patient[edge], len(names) + image[edge])
    graph = coo_matrix((np.ones(edge.sum()), pairs), shape=(nodes, nodes))
    _, component = connected_components(graph, directed=False)
    members = pd.Series([*names], dtype=object).groupby(component[: len(names)]).agg(join_names)
    return [pd.NA if code < 0 else members[component[code]] for code in patient]


def check_attrs(cells: pd.DataFrame, *names: str) -> None:
    """Refuse cells that no longer say what data set they are of.

    Raises:
        DatasetError: ``attrs`` lacks one of the names.
    """
    if lost := [name for name in names if name not in cells.attrs]:
        raise DatasetError(
            f"the cells have no attrs {', '.join(lost)}, which leukkit.datasets.load sets and a "
            "merge or groupby of pandas drops: after it write merged.attrs = cells.attrs"
        )


def label_codes(cells: pd.DataFrame, classes: Sequence[str], place: str) -> NDArray[np.intp]:
    """Return the position of each image's label among the classes (images,).

    The only way from labels to numbers: a label that is no class must not become one.

    Args:
        cells: A frame with ``image_id`` and ``label``: cells or predictions.
        classes: The class names.
        place: Where the labels stand, for the message.

    Raises:
        DatasetError: A label is missing or none of the classes; 1 is not ``"1"``.
    """
    labels = cells["label"].astype(object)
    codes = pd.Index(classes, dtype=object).get_indexer(pd.Index(labels, dtype=object))
    if (strange := codes < 0).any():
        first = int(strange.argmax())
        raise DatasetError(
            f"{place}: image {cells['image_id'].iloc[first]!r} has the label "
            f"{labels.iloc[first]!r}, expected the name of a class: {', '.join(classes)} "
            f"({strange.sum()} of {len(codes)} images). Correct their labels, or leave them out"
        )
    return codes


def join_subjects(cells: pd.DataFrame, subjects: Sequence[Sequence[str]]) -> pd.DataFrame:
    """Join patients whom a reader takes for one subject, on other evidence than identical images.

    A near-duplicate alone is no proof (see `leukkit.datasets.near_duplicates`): this is for pairs
    that somebody has looked at, as those of `leukkit.datasets.links`.

    Args:
        cells: The ``cells`` frame.
        subjects: Lists of patients, e.g. ``[["H2", "H7"]]``. All that is linked to one of them
            already comes along.

    Returns:
        A copy of the frame with other subjects, named as in `link_subjects`.

    Raises:
        DatasetError: A patient is not in the data set.
    """
    check_attrs(cells, "dataset")
    joined = cells.copy()
    for patients in subjects:
        if unknown := sorted(set(patients) - set(cells["patient"].dropna())):
            raise DatasetError(
                f"{cells.attrs['dataset']} has no patient {', '.join(unknown)}: {patients} cannot "
                "be joined into one subject"
            )
        linked = joined["subject"][joined["patient"].isin(patients)]
        members = joined["subject"].isin(linked)
        joined.loc[members, "subject"] = join_names(joined["patient"][members].unique())
    return joined


def crops(cells: pd.DataFrame) -> list[int | None]:
    """Return the side in pixels of the center crop of each image; None for the whole image."""
    if "crop" not in cells:
        return [None] * len(cells)
    return [None if pd.isna(side) else int(side) for side in cells["crop"]]


def join_names(patients: Iterable[str]) -> str:
    """Return the name of the subject whom these patients are: ``"H2+H10"``."""
    return "+".join(sorted(patients, key=natural_order))


def natural_order(text: str) -> list:
    """Return a sort key under which ``"H2"`` comes before ``"H10"``, and numbers before letters."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", text)]


def wrong_sizes(findings: pd.DataFrame, side: Iterable) -> pd.Series:
    """Return a text for each image whose height or width is not the expected side, else NA."""
    sizes = zip(findings["height"], findings["width"], side, strict=True)
    texts = [
        f"wrong size: {height}x{width} pixels, {expected}x{expected} was expected"
        if pd.notna(height) and (height, width) != (expected, expected)
        else pd.NA
        for height, width, expected in sizes
    ]
    return pd.Series(texts, index=findings.index, dtype=TEXT)


def _refuse_twice_the_same_id(cells: pd.DataFrame) -> None:
    twice = cells[cells["image_id"].duplicated(keep=False)]
    if len(twice):
        name = twice["image_id"].iloc[0]
        first, second = twice["path"][twice["image_id"] == name].iloc[:2]
        raise DatasetError(
            f"{twice['image_id'].nunique()} images are there more than once, e.g. {name} as "
            f"{first} and {second}. Point root at one copy of the data set, or move the other away"
        )


def _damage_message(bad: pd.DataFrame) -> str:
    lines = [f"  {row.path}: {row.damage}" for row in bad.head(LISTED_FILES).itertuples()]
    if len(bad) > LISTED_FILES:
        lines.append(f"  … and {len(bad) - LISTED_FILES} more")
    return "\n".join(
        [
            f"{len(bad)} unusable images:",
            *lines,
            'Download these files again, or leave them out with damaged="drop"; '
            'damaged="keep" loads everything, for leukkit.datasets.check',
        ]
    )
