"""Shortcuts: what a classifier reaches that never sees the cell.

Each shortcut is a few numbers of an image that should not tell its class: the border, the mean
color, an area, the size of the file. A random forest learns from them under the same splits as any
other classifier. What it reaches beyond chance, a network may reach without looking at a cell.
"""

import pathlib
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from leukkit import classifiers, images, metrics, segmentation, splits
from leukkit.datasets.cells import check_attrs, crops
from leukkit.datasets.decode import on_threads

ALL = "all of these"
CHANNELS = ("red", "green", "blue")
QUANTITIES = {"auc": "AUC", "balanced_accuracy": "balanced accuracy"}
# column of `check` -> its place in the frame of `metrics.jackknife`
SCORES = {
    f"{quantity}{'' if end == 'point' else ' ' + end}": (quantity, end)
    for quantity in QUANTITIES
    for end in ("point", "low", "high")
}
BORDER = 1 / 32  # width of the outer ring, of the image's height or width
RARE = 0.05  # share of images: a shortcut that varies in fewer is said to
MOSTLY_BLACK = 0.2  # share of black pixels from which the images are cut-out cells on black
TREES = 100


def features(cells: pd.DataFrame) -> pd.DataFrame:
    """Compute the numbers that each shortcut sees.

    Args:
        cells: The cells frame, originals only.

    Returns:
        Frame, one row per image; the columns have two levels, the shortcut and the number. *Image
        border*: for each side of the outer ring the mean and the standard deviation of red, green
        and blue (0..255). *Mean color*: of the pixels that are not black. *Mask area*: share
        (0..1) of the image; where most images are cells cut out on black it is the area that is
        not black, else the nucleus by the *green multi-Otsu* of `segmentation.segment_nucleus`;
        ``attrs["mask"]`` says which. *File size*: bytes.

    Raises:
        images.ImageError: A file cannot be read.
        segmentation.SegmentationError: An image is blank.
    """
    jobs = list(zip(cells["path"], crops(cells), strict=True))
    table = pd.DataFrame(on_threads(_numbers, jobs)).astype(float)
    table.columns = pd.MultiIndex.from_tuples(table.columns)
    on_black = (1 - table["mask area", "area"]).median() > MOSTLY_BLACK
    if not on_black:
        table["mask area", "area"] = list(on_threads(_nucleus, jobs))
    table.attrs["mask"] = "what is not black" if on_black else "nucleus, by segmentation"
    return table


def check(
    cells: pd.DataFrame,
    folds: int = 5,
    seed: int = 0,
    missing: Literal["error", "image"] = "error",
    brief: bool = False,
) -> pd.DataFrame:
    """Score what each shortcut tells about the class, by image and by subject.

    Args:
        cells: The cells frame, originals only; two classes or more.
        folds: Number of folds; every image is tested once.
        seed: Of the splits and of the random forest.
        missing: As in `splits.divide`: ``"image"`` for data without patients, where the
            split by subject then only keeps identical files together.
        brief: Leaves out the split by image, and all shortcuts together.

    Returns:
        Frame, one row per shortcut and split: ``shortcut, split, sees`` (what exactly),
        ``constant`` (the same in all images: nothing to learn, no score), ``varied`` (share of
        images that differ from the most frequent value), ``auc, auc low, auc high`` and those of
        ``balanced_accuracy`` (0..1, 95% intervals; with more than two classes the AUC is the mean
        of each against the rest), ``auc chance, balanced_accuracy chance``, ``images, groups,
        groups_are``: what is left out for the intervals.

    Raises:
        ValueError: As the splits, for example subjects missing and ``missing="error"``.
    """
    check_attrs(cells, "classes")
    seen = features(cells)
    tables = {
        "by image": {"split": "stratified", "folds": folds},
        "by subject": {"split": "subject", "folds": folds, "missing": missing},
    }
    divided = {name: splits.folds(cells, table, seed) for name, table in tables.items()}
    sees = {
        "image border": f"outer {BORDER:.1%} of each side",
        "mean color": "of the pixels that are not black",
        "mask area": seen.attrs["mask"],
        "file size": _formats(cells),
        ALL: "all numbers above",
    }
    over, groups_are = metrics.groups(cells)
    about = {
        "auc chance": 0.5,
        "balanced_accuracy chance": 1 / len(cells.attrs["classes"]),
        "images": len(cells),
        "groups": over.nunique(),
        "groups_are": groups_are,
    }
    if brief:
        del divided["by image"], sees[ALL]
    rows = []
    for shortcut, what in sees.items():
        numbers = (seen if shortcut == ALL else seen[shortcut]).to_numpy()
        varied = 1 - pd.DataFrame(numbers).value_counts().iloc[0] / len(numbers)
        if 0 < varied < RARE:
            what += f", the same in {1 - varied:.1%} of the images"
        row = {"shortcut": shortcut, "sees": what, **about, "constant": not varied}
        for split, parts in divided.items():
            scored = dict.fromkeys(SCORES, np.nan)
            if varied:
                predictions = _predict(cells, numbers, parts, seed).assign(group=over.to_numpy())
                found = metrics.jackknife(predictions, "group")
                scored = {column: found.loc[place] for column, place in SCORES.items()}
            rows.append({**row, "varied": varied, "split": split, **scored})
    return pd.DataFrame(rows)


def table(checked: pd.DataFrame) -> pd.DataFrame:
    """Format the frame of `check` for reading, one row per shortcut.

    Returns:
        Frame of text indexed by shortcut and what it sees: AUC and balanced accuracy under each
        split; ``constant`` where all images have the same value.
    """
    rows: dict[tuple[str, str], dict[str, str]] = {}
    chance: dict[str, str] = {}
    for row in checked.to_dict("records"):
        place = rows.setdefault((row["shortcut"], row["sees"]), {})
        for quantity, name in QUANTITIES.items():
            score, low, high = (row[f"{quantity}{end}"] for end in ("", " low", " high"))
            column = f"{name}, {row['split']}"
            text = metrics.with_interval(score, low, high, decimals=2)
            place[column] = "constant" if row["constant"] else text
            chance[column] = f"{row[f'{quantity} chance']:.2f}"
    rows["chance", "nothing"] = chance
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["shortcut", "sees"])


def _numbers(path: str, crop: int | None) -> dict[tuple[str, str], float]:
    """Return the numbers of an image by shortcut and name."""
    rgb = images.read(path, crop)
    height, width = rgb.shape[:2]
    rows, columns = max(1, round(height * BORDER)), max(1, round(width * BORDER))
    strips = {
        "top": rgb[:rows],
        "bottom": rgb[-rows:],
        "left": rgb[:, :columns],
        "right": rgb[:, -columns:],
    }
    found = {}
    for side, strip in strips.items():
        for what, statistic in (("mean", np.mean), ("spread", np.std)):
            for channel, value in zip(CHANNELS, statistic(strip, axis=(0, 1)), strict=True):
                found["image border", f"{side} {what} {channel}"] = value
    shown = rgb.any(axis=2)
    color = rgb[shown].mean(axis=0) if shown.any() else np.zeros(3)
    found |= {("mean color", name): value for name, value in zip(CHANNELS, color, strict=True)}
    found["mask area", "area"] = shown.mean()
    found["file size", "bytes"] = pathlib.Path(path).stat().st_size
    return found


def _nucleus(path: str, crop: int | None) -> float:
    return segmentation.segment_nucleus(images.read(path, crop), rule="green multi-Otsu").mean()


def _formats(cells: pd.DataFrame) -> str:
    """Say what the size of the files means in these formats."""
    endings = sorted({pathlib.Path(path).suffix.lower().lstrip(".") for path in cells["path"]})
    kinds = "/".join(ending.upper() for ending in endings)
    if endings == ["bmp"]:
        return "BMP: not compressed"
    return f"{kinds}: how well an image compresses"


def _predict(
    cells: pd.DataFrame, numbers: NDArray, folds: Sequence[splits.Fold], seed: int
) -> pd.DataFrame:
    """Return the predictions of every image by the forest of the fold that tests it."""
    from sklearn.ensemble import RandomForestClassifier

    classes, labels = cells.attrs["classes"], cells["label"].to_numpy(dtype=object).astype(str)
    probabilities = np.zeros((len(cells), len(classes)))
    for fold in folds:
        forest = RandomForestClassifier(
            TREES, min_samples_leaf=5, class_weight="balanced", random_state=seed
        )
        forest.fit(numbers[fold.train], labels[fold.train])
        probabilities[fold.test] = classifiers.class_scores(forest, numbers[fold.test], classes)
    return metrics.prediction_frame(cells, probabilities, classes)
