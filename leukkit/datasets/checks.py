"""What is wrong with a data set: damage, copies, linked patients, counts, unknown files."""

import collections
import fnmatch

import pandas as pd

from leukkit.datasets import near_duplicates as near
from leukkit.datasets.cells import TEXT, natural_order, wrong_sizes
from leukkit.datasets.files import examine
from leukkit.datasets.loading import FINDERS, files_below
from leukkit.datasets.official import FACTS

Problem = collections.namedtuple("Problem", ["kind", "image_id", "detail"])


def check(cells, near_duplicates=False):
    """List what is wrong with a data set, one row per problem.

    Args:
        cells: A frame from `leukkit.datasets.load`; with ``damaged="keep"`` the damaged are in it.
        near_duplicates: Whether to look for near-duplicates, too, which takes a minute for some
            thousand images; or the frame of `near_duplicates.find`, if it was made before.

    Returns:
        A frame with the columns ``kind``, ``image_id`` (missing where no single image is meant) and
        ``detail``. The kinds, in this order:

        - ``damaged``: cannot be decoded in full, or of another size than the official one;
        - ``duplicate``: same pixels as an earlier image, one row per further copy;
        - ``label-conflict``: same pixels as an earlier image of another class;
        - ``subject-merge``: patients who share images and so count as one subject;
        - ``count``: another number of images or patients than published;
        - ``unexpected-file``: a file that does not belong to the data set. Not read by anything;
          a folder of only such files is one row;
        - ``near-duplicate``: nearly the same picture as an earlier image; only where asked for.
          Pairs of two subjects first. They are reported and never joined into a subject.

        Counts and unexpected files are not known for the built-in samples.
    """
    copies = _copies(cells)
    problems = [
        *_damaged(cells),
        *_duplicates(copies),
        *_subject_merges(cells, copies),
        *_counts(cells),
        *_unexpected_files(cells),
        *_near_duplicates(cells, near_duplicates),
    ]
    return pd.DataFrame(problems, columns=Problem._fields).astype(TEXT)


def _damaged(cells):
    for image_id, path, reason in cells.attrs["dropped"]:
        yield Problem("damaged", image_id, f"{path}: {reason} (left out)")
    findings = examine(cells["path"])
    damage = findings["damage"]
    facts = FACTS.get(cells.attrs["dataset"])
    if facts:
        side = facts["side"]
        sides = cells["split"].map(side) if isinstance(side, dict) else [side] * len(cells)
        damage = damage.fillna(wrong_sizes(findings, pd.Series(sides).reset_index(drop=True)))
    for image_id, path, reason in zip(cells["image_id"], cells["path"], damage, strict=True):
        if reason is not pd.NA:
            yield Problem("damaged", image_id, f"{path}: {reason}")


def _copies(cells):
    """Return one row per further copy of an image, with the first image of the same pixels."""
    hashed = cells.dropna(subset=["sha256"])[["sha256", "image_id", "label", "patient", "fold"]]
    first = hashed.drop_duplicates("sha256")
    again = hashed[hashed["sha256"].duplicated()]
    return again.merge(first, on="sha256", suffixes=("", "_first"))


def _duplicates(copies):
    conflicts = []
    for row in copies.itertuples():
        detail = f"same pixels as {row.image_id_first}"
        if _differ(row.patient, row.patient_first):
            detail += f"; patients {row.patient_first} and {row.patient}"
        if _differ(row.fold, row.fold_first):
            detail += f"; official folds {row.fold_first} and {row.fold}"
        yield Problem("duplicate", row.image_id, detail)
        if _differ(row.label, row.label_first):
            detail = f"{row.label} here, {row.label_first} in {row.image_id_first}: same pixels"
            conflicts.append(Problem("label-conflict", row.image_id, detail))
    yield from conflicts


def _differ(value, other):
    return pd.notna(value) and pd.notna(other) and value != other


def _subject_merges(cells, copies):
    pairs = copies.dropna(subset=["patient", "patient_first"])
    pairs = pairs[pairs["patient"] != pairs["patient_first"]]
    shared = collections.Counter(
        frozenset(pair) for pair in zip(pairs["patient_first"], pairs["patient"], strict=True)
    )
    known = cells.dropna(subset=["subject", "patient"])
    for subject, patients in known.groupby("subject")["patient"].unique().items():
        if len(patients) > 1:
            links = ", ".join(
                f"{' = '.join(sorted(pair, key=natural_order))} ({count})"
                for pair, count in shared.most_common()
                if pair <= set(patients)
            )
            yield Problem(
                "subject-merge",
                pd.NA,
                f"patients {', '.join(sorted(patients, key=natural_order))} count as one "
                f"subject, {subject}; identical images: {links}",
            )


def _counts(cells):
    facts = FACTS.get(cells.attrs["dataset"], {"counts": []})
    for entry in facts["counts"]:
        counted = "patients" if "patients" in entry else "images"
        selected = cells
        for column, value in entry.items():
            if column != counted:
                selected = selected[selected[column].eq(value).fillna(False)]
        found = selected["patient"].nunique() if counted == "patients" else len(selected)
        if found != entry[counted]:
            part = ", ".join(
                f"{column} {value}" for column, value in entry.items() if column != counted
            )
            yield Problem(
                "count", pd.NA, f"{part}: {found} {counted}, {entry[counted]} were published"
            )


def _unexpected_files(cells):
    name = cells.attrs["dataset"]
    if name not in FACTS:
        return
    files = files_below(cells.attrs["root"])
    images = set(FINDERS[name](files))
    folders = {folder for path in images for folder in path.parents}
    strangers = collections.Counter()
    for path in files:
        if path not in images and not _is_known(path.name, FACTS[name]["known_files"]):
            foreign = [folder for folder in path.parents if folder not in folders]
            strangers[foreign[-1] if foreign else path] += 1
    for path, count in strangers.items():
        where = f"{path}: {count} files that do not" if path.is_dir() else f"{path}: does not"
        harmless = " (written by the operating system)" if _is_litter(path) else ""
        yield Problem("unexpected-file", pd.NA, f"{where} belong to {name}{harmless}")


def _near_duplicates(cells, wanted):
    if wanted is False:
        return
    pairs = near.find(cells) if wanted is True else wanted
    for pair in pairs.to_dict("records"):
        detail = f"like {pair['image_id_first']}, {near.describe(pair)}; {pair['relation']}"
        if _differ(pair["patient"], pair["patient_first"]):
            detail += f"; patients {pair['patient_first']} and {pair['patient']}"
        if _differ(pair["fold"], pair["fold_first"]):
            detail += f"; official folds {pair['fold_first']} and {pair['fold']}"
        if _differ(pair["label"], pair["label_first"]):
            detail += f"; labels {pair['label_first']} and {pair['label']}"
        yield Problem("near-duplicate", pair["image_id"], detail)


def _is_known(name, patterns):
    return any(fnmatch.fnmatchcase(name.lower(), pattern.lower()) for pattern in patterns)


def _is_litter(path):
    return path.name.startswith(".") or path.name in ("Thumbs.db", "desktop.ini", "__MACOSX")
