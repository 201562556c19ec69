"""From cells to patients: what the answers for a patient's cells come to, and what it is worth.

A decision is made for a patient, not for a cell. Each patient gets the mean of the cells'
probabilities and the vote of the cells; where labels are known, both are scored.
"""

import os
import pathlib

import pandas as pd

from leukkit import metrics
from leukkit.files import printable, read_table
from leukkit.metrics.predictions import class_names

QUANTITIES = {
    "accuracy": "accuracy of cells",
    "balanced_accuracy": "balanced accuracy of cells",
    "auc": "AUC of cells",
    "patient_level_accuracy": "accuracy of the patients' votes",
}


def assign(frame: pd.DataFrame, path: str | os.PathLike) -> pd.DataFrame:
    """Say of whom the images of `predict` are: return a copy with ``patient, label``, perhaps NA.

    Args:
        frame: From `leukkit.predict.predict`.
        path: CSV with the columns ``file`` (the path of an image or its end) and ``patient``, and
            ``label`` where the class is known; an empty field is unknown.

    Raises:
        ValueError: The table is wrong, names no row for an image, or a label is no class of the
            model; names file and image.
    """
    table, classes = read_table(path, ["file", "patient"]), class_names(frame)
    rows = {row["file"].replace("\\", "/").removeprefix("./"): row for _, row in table.iterrows()}
    if len(rows) < len(table):
        twice = table["file"][table["file"].duplicated()].iloc[0]
        raise ValueError(f"{path}: {twice} has more than one row. Keep one")
    found = []
    for image in frame["image"]:
        parts = pathlib.PurePath(image).parts
        ends = ["/".join(parts[start:]).replace("//", "/") for start in range(len(parts))]
        named = [rows[end] for end in ends if end in rows]
        if not named:
            raise ValueError(
                f"{path}: no row for {printable(image)}; expected its path, or the end of it, in "
                "the column file"
            )
        label = named[0].get("label", "")
        if label and label not in classes:
            raise ValueError(
                f"{path}: the label of {named[0]['file']} is {label!r}, and the model tells "
                f"{', '.join(classes)} apart. Correct it, or leave the field empty"
            )
        found.append((named[0]["patient"] or None, label or None))
    whom = pd.DataFrame(found, columns=["patient", "label"], index=frame.index, dtype="string")
    return frame.assign(**whom)


def by_patient(frame: pd.DataFrame) -> pd.DataFrame:
    """Sum up the answers for the cells of each known patient in the frame of `assign`.

    Returns:
        One row per patient in the order of the images: ``patient, cells`` (that could be read),
        ``unreadable, out_of_distribution`` (cells; NA where the model has no threshold),
        ``mean_<class>`` (0..1, mean probability over the cells), ``predicted`` (by the mean),
        ``vote`` (the class of most cells, of equal ones that of the higher mean, as in
        `leukkit.metrics.patient_vote`) and ``votes`` (its share).
    """
    classes, rows = class_names(frame), []
    for patient, cells in frame.groupby("patient", sort=False):
        read = cells[cells["error"].isna()]
        means = [read[f"prob_{name}"].mean() for name in classes]
        votes = read["predicted"].value_counts().reindex(list(classes), fill_value=0)
        row = {"patient": patient, "cells": len(read), "unreadable": len(cells) - len(read)}
        strange = read["out_of_distribution"]
        row["out_of_distribution"] = strange.sum() if strange.notna().any() else pd.NA
        row |= dict(zip([f"mean_{name}" for name in classes], means, strict=True))
        if len(read):
            vote = max(zip(votes, means, classes, strict=True), key=lambda one: one[:2])[2]
            row |= {"predicted": classes[means.index(max(means))], "vote": vote}
            row["votes"] = votes.max() / len(read)
        rows.append(row)
    means = [f"mean_{name}" for name in classes]
    columns = ["patient", "cells", "unreadable", "out_of_distribution", *means]
    return pd.DataFrame(rows, columns=[*columns, "predicted", "vote", "votes"])


def scores(frame: pd.DataFrame) -> pd.DataFrame:
    """Score the answers for cells and for patients, where both patient and label are known.

    Images that the model was made with are left out: ``attrs["left_out"]`` says how many.

    Returns:
        Frame, a row for each of `QUANTITIES`: ``quantity, value, low, high`` (0..1, 95% intervals
        over patients; NaN where it cannot be had, as the vote of a patient of two classes),
        ``images, patients``. Empty if no label is known, or all are of one class or patient.
    """
    known = frame[frame[["patient", "label"]].notna().all(axis=1) & frame["error"].isna()]
    labeled, known = len(known), known[~known["seen"].astype(bool)]
    none = pd.DataFrame(columns=["quantity", "value", "low", "high", "images", "patients"])
    none.attrs["left_out"] = labeled - len(known)
    columns = {"image_id": known["image"], "subject": known["patient"], "label": known["label"]}
    probabilities = known[[f"prob_{name}" for name in class_names(frame)]]
    predictions = pd.DataFrame(columns).join(probabilities).reset_index(drop=True)
    if min(known["label"].nunique(), known["patient"].nunique()) < 2:
        return none
    measured = metrics.measure(predictions)
    of_all = measured[measured["label"].isna()].set_index("quantity").loc[list(QUANTITIES)]
    of_all = of_all.rename(index=QUANTITIES).rename(columns={"groups": "patients"}).reset_index()
    scored = of_all[[*none]]
    scored.attrs = none.attrs
    return scored


def rounded(column: pd.Series, digits: int = 3) -> pd.Series:
    """Return numbers as text."""
    return column.map(f"{{:.{digits}f}}".format, na_action="ignore")


def patients_text(patients: pd.DataFrame, scored: pd.DataFrame) -> str:
    """Return the frames of `by_patient` and `scores` as text for a terminal."""
    table = patients.copy()
    for name in table.filter(regex="^(mean_|votes)"):
        table[name] = rounded(table[name])
    if table["out_of_distribution"].isna().all():
        table = table.drop(columns="out_of_distribution")
    lines = [printable(line) for line in table.to_string(index=False, na_rep="").split("\n")]
    for row in scored.to_dict("records"):
        text = metrics.with_interval(row["value"], row["low"], row["high"])
        lines.append(f"{row['quantity']}: {text}")
    if len(scored):
        lines.append(
            f"of {scored['images'].iloc[0]} labeled cells; 95% intervals over "
            f"{scored['patients'].iloc[0]} patients"
        )
    if left_out := scored.attrs["left_out"]:
        lines.append(f"left out of scores: {left_out} labeled cells that the model was made with")
    return "\n".join(lines)
