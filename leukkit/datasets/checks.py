"""What is wrong with a data set: damage, copies, linked patients, counts, unknown files."""

import collections
import fnmatch
import pathlib
from collections.abc import Iterator, Mapping

import pandas as pd

from leukkit.datasets import decode, links
from leukkit.datasets.cells import TEXT, check_attrs, natural_order, wrong_sizes
from leukkit.datasets.published import FACTS, files_below, find

Problem = tuple  # kind, image_id, detail


def check(cells: pd.DataFrame) -> pd.DataFrame:
    """List what is wrong with a data set, one row per problem.

    Args:
        cells: A frame from `leukkit.datasets.load`; with ``damaged="keep"`` the damaged are in it.

    Returns:
        A frame with the columns ``kind``, ``image_id`` (missing where no single image is meant) and
        ``detail``. The kinds, in this order:

        - ``damaged``: cannot be read, or of a size that `leukkit.datasets.load` refuses;
        - ``size``: of another size than the official one, as some copies in circulation are;
        - ``duplicate``: same pixels as an earlier image, one row per further copy;
        - ``label-conflict``: same pixels as an earlier image of another class;
        - ``subject-merge``: patients who share images and so count as one subject;
        - ``count``: another number of images or patients than published;
        - ``unexpected-file``: a file that does not belong to the data set. Not read by anything;
          a folder of only such files is one row.

        Counts and unexpected files are not known for the built-in samples.

    Raises:
        DatasetError: The frame has lost its ``attrs``.
    """
    check_attrs(cells, "dataset", "root", "dropped")
    copies = _copies(cells).to_dict("records")
    problems = [
        *_damaged(cells),
        *_sizes(cells),
        *_duplicates(copies),
        *_label_conflicts(copies),
        *_subject_merges(cells, copies),
        *_counts(cells),
        *_unexpected_files(cells),
    ]
    return pd.DataFrame(problems, columns=["kind", "image_id", "detail"]).astype(TEXT)


def _damaged(cells: pd.DataFrame) -> Iterator[Problem]:
    for image_id, path, reason in cells.attrs["dropped"]:
        yield "damaged", image_id, f"{path}: {reason} (left out)"
    if "damage" in cells:  # else the loader has refused what is damaged, or left it out
        bad = cells[cells["damage"].notna()]
        for image_id, path, reason in zip(bad["image_id"], bad["path"], bad["damage"], strict=True):
            yield "damaged", image_id, f"{path}: {reason}"


def _sizes(cells: pd.DataFrame) -> Iterator[Problem]:
    side = FACTS.get(cells.attrs["dataset"], {"side": {}})["side"]
    if isinstance(side, dict):  # those of a phase are the loader's to refuse
        return
    whole = cells[cells["sha256"].notna()]  # the rest is told as damaged
    sizes = pd.DataFrame(map(decode.size, whole["path"]), whole.index, ["width", "height"])
    other = wrong_sizes(sizes, [side] * len(whole))
    for image_id, path, reason in zip(whole["image_id"], whole["path"], other, strict=True):
        if reason is not pd.NA:
            yield "size", image_id, f"{path}: {reason}"


def _copies(cells: pd.DataFrame) -> pd.DataFrame:
    """Return one row per further copy of an image, with the first image of the same pixels."""
    hashed = cells.dropna(subset=["sha256"])[["sha256", "image_id", "label", "patient", "fold"]]
    again = hashed[hashed["sha256"].duplicated()]
    return again.merge(hashed.drop_duplicates("sha256"), on="sha256", suffixes=("", "_first"))


def _duplicates(copies: list[dict]) -> Iterator[Problem]:
    words = {"patient": "patients", "fold": "official folds"}
    for row in copies:
        detail = f"same pixels as {row['image_id_first']}"
        for column in filter(lambda column: _differ(row, column), words):
            detail += f"; {words[column]} {row[f'{column}_first']} and {row[column]}"
        yield "duplicate", row["image_id"], detail


def _label_conflicts(copies: list[dict]) -> Iterator[Problem]:
    for row in copies:
        if _differ(row, "label"):
            where = f"{row['label_first']} in {row['image_id_first']}"
            yield "label-conflict", row["image_id"], f"{row['label']} here, {where}: same pixels"


def _subject_merges(cells: pd.DataFrame, copies: list[dict]) -> Iterator[Problem]:
    listed = links.joined_by(cells.attrs["dataset"], cells.attrs.get("links") or "identical")
    shared = {
        "identical images": [
            (row["patient_first"], row["patient"]) for row in copies if _differ(row, "patient")
        ],
        "cells cut out twice": zip(listed["patient"], listed["patient_like"], strict=True),
    }
    known = cells.dropna(subset=["subject", "patient"])
    subject_of = dict(zip(known["patient"], known["subject"], strict=True))
    counted: dict = collections.defaultdict(collections.Counter)  # (subject, kind) -> pairs
    for kind, pairs in shared.items():
        for pair in pairs:
            if len(subjects := {subject_of.get(patient) for patient in pair}) == 1:
                counted[subjects.pop(), kind][" = ".join(sorted(pair, key=natural_order))] += 1
    for subject, patients in known.groupby("subject")["patient"].unique().items():
        if len(patients) > 1:
            names = ", ".join(sorted(patients, key=natural_order))
            detail = f"patients {names} count as one subject, {subject}"
            for kind in shared:
                told = [f"{pair} ({n})" for pair, n in counted[subject, kind].most_common()]
                detail += f"; {kind}: {', '.join(told)}" if told else ""
            yield "subject-merge", pd.NA, detail


def _counts(cells: pd.DataFrame) -> Iterator[Problem]:
    for entry in FACTS.get(cells.attrs["dataset"], {"counts": []})["counts"]:
        counted = "patients" if "patients" in entry else "images"
        part = {column: value for column, value in entry.items() if column != counted}
        selected = cells
        for column, value in part.items():
            selected = selected[selected[column].eq(value).fillna(False)]
        found = selected["patient"].nunique() if counted == "patients" else len(selected)
        if found != entry[counted]:
            words = ", ".join(f"{column} {value}" for column, value in part.items())
            detail = f"{words}: {found} {counted}, {entry[counted]} were published"
            yield "count", pd.NA, detail


def _unexpected_files(cells: pd.DataFrame) -> Iterator[Problem]:
    name = cells.attrs["dataset"]
    if name not in FACTS:
        return
    files = files_below(cells.attrs["root"])
    images = {record["path"] for record in find(name, files)}
    folders = {folder for path in images for folder in path.parents}
    patterns = [pattern.lower() for pattern in FACTS[name]["known_files"]]
    strangers: collections.Counter[pathlib.Path] = collections.Counter()
    for path in files:
        known = any(fnmatch.fnmatch(path.name.lower(), pattern) for pattern in patterns)
        if path not in images and not known:
            foreign = [folder for folder in path.parents if folder not in folders]
            strangers[foreign[-1] if foreign else path] += 1
    for path, count in strangers.items():
        where = f"{path}: {count} files that do not" if path.is_dir() else f"{path}: does not"
        yield "unexpected-file", pd.NA, f"{where} belong to {name}"


def _differ(pair: Mapping, column: str) -> bool:
    value, first = pair[column], pair[f"{column}_first"]
    return pd.notna(value) and pd.notna(first) and value != first
