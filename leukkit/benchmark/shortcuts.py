"""Shortcuts: what a classifier reaches that never sees the cell.

Each shortcut is a few numbers of an image that should not tell its class: the border, the mean
color, an area, the size of the file. A random forest learns from them under the same splits as any
other classifier. What it reaches beyond chance, a network may reach without looking at a cell.
"""

import pathlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from leukkit import classifiers, images, metrics, segmentation, splits
from leukkit.datasets.cells import crops

SHORTCUTS = ("image border", "mean color", "mask area", "file size")
ALL = "all of these"
QUANTITIES = {"auc": "AUC", "balanced_accuracy": "balanced accuracy"}
BORDER = 1 / 32  # width of the outer ring, of the image's height or width
RARE = 0.05  # share of images: a shortcut that varies in fewer is said to
MOSTLY_BLACK = 0.2  # share of black pixels from which the images are cut-out cells on black
TREES = 100


def features(cells: pd.DataFrame, threads: int = 2) -> pd.DataFrame:
    """Compute the numbers that each shortcut sees.

    Args:
        cells: The cells frame, originals only.
        threads: Files read at once.

    Returns:
        Frame, one row per image; the columns have two levels, the shortcut (one of `SHORTCUTS`) and
        the number. *Image border*: for each side of the outer ring the mean and the standard
        deviation of red, green and blue (0..255). *Mean color*: of the pixels that are not black.
        *Mask area*: share (0..1) of the image; where most images are cells cut out on black it is
        the area that is not black, else the nucleus by `segmentation.segment_nucleus`, and
        ``attrs["mask"]`` says which. *File size*: bytes.

    Raises:
        images.ImageError: A file cannot be read.
        segmentation.SegmentationError: An image is blank.
    """

    def numbers(path: str, crop: int | None) -> tuple:
        return _numbers(images.read(path, crop))

    def nucleus(path: str, crop: int | None) -> float:
        return segmentation.segment_nucleus(images.read(path, crop)).mean()

    with ThreadPoolExecutor(threads) as pool:
        found = pool.map(numbers, cells["path"], crops(cells))
        border, color, areas = (np.array(part) for part in zip(*found, strict=True))
        on_black = np.median(1 - areas) > MOSTLY_BLACK
        if not on_black:
            areas = np.array(list(pool.map(nucleus, cells["path"], crops(cells))))
    sides = [
        f"{side} {what} {channel}"
        for side in ("top", "bottom", "left", "right")
        for what in ("mean", "spread")
        for channel in ("red", "green", "blue")
    ]
    sizes = [pathlib.Path(path).stat().st_size for path in cells["path"]]
    parts = {
        "image border": pd.DataFrame(border, columns=sides),
        "mean color": pd.DataFrame(color, columns=["red", "green", "blue"]),
        "mask area": pd.DataFrame({"area": areas}),
        "file size": pd.DataFrame({"bytes": sizes}),
    }
    table = pd.concat(parts, axis=1).astype(float)
    table.attrs["mask"] = "what is not black" if on_black else "nucleus, by segmentation"
    return table


def check(
    cells: pd.DataFrame,
    folds: int = 5,
    seed: int = 0,
    draws: int = 2000,
    missing: Literal["error", "image"] = "error",
    seen: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Score what each shortcut tells about the class, by image and by subject.

    Args:
        cells: The cells frame, originals only; two classes or more.
        folds: Number of folds; every image is tested once.
        seed: Of the splits and of the random forest.
        draws: Bootstrap draws of the intervals.
        missing: As in `splits.divide`: ``"image"`` for data without patients, where the
            split by subject then only keeps identical files together.
        seen: The frame of `features`, if it was computed before.

    Returns:
        Frame, one row per shortcut and split: ``shortcut, split, sees`` (what exactly),
        ``constant`` (the same in all images: nothing to learn, no score), ``varied`` (share of
        images that differ from the most frequent value), ``auc, auc low, auc high`` and those of
        ``balanced_accuracy`` (0..1, 95% intervals; with more than two classes the AUC is the mean
        of each against the rest), ``auc chance, balanced_accuracy chance``, ``images, groups,
        groups_are``: what is resampled for the intervals.

    Raises:
        ValueError: As the splits, for example subjects missing and ``missing="error"``.
    """
    seen = features(cells) if seen is None else seen
    by_image = {"split": "stratified", "folds": folds}
    by_subject = {"split": "subject", "folds": folds, "missing": missing}
    divided = {
        "by image": splits.folds(cells, by_image, seed),
        "by subject": splits.folds(cells, by_subject, seed),
    }
    sees = {
        "image border": f"outer {BORDER:.1%} of each side",
        "mean color": "of the pixels that are not black",
        "mask area": seen.attrs["mask"],
        "file size": _formats(cells),
        ALL: "all numbers above",
    }
    rows = []
    for shortcut in (*SHORTCUTS, ALL):
        numbers = (seen if shortcut == ALL else seen[shortcut]).to_numpy()
        most_frequent = pd.DataFrame(numbers).value_counts().iloc[0]
        constant, varied = bool(most_frequent == len(numbers)), 1 - most_frequent / len(numbers)
        rarely = not constant and varied < RARE
        alike = f", the same in {1 - varied:.1%} of the images" if rarely else ""
        row = {"shortcut": shortcut, "sees": sees[shortcut] + alike}
        for split, parts in divided.items():
            scored = _score(cells, None if constant else numbers, parts, seed, draws)
            rows.append({**row, "constant": constant, "varied": varied, "split": split, **scored})
    return pd.DataFrame(rows)


def table(checked: pd.DataFrame, decimals: int = 2) -> pd.DataFrame:
    """Format the frame of `check` for reading, one row per shortcut.

    Args:
        checked: The frame of `check`.
        decimals: Of the scores.

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
            text = metrics.with_interval(score, low, high, decimals)
            place[column] = "constant" if row["constant"] else text
            chance[column] = f"{row[f'{quantity} chance']:.{decimals}f}"
    rows["chance", "nothing"] = chance
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["shortcut", "sees"])


def _numbers(rgb: NDArray[np.uint8]) -> tuple[NDArray, NDArray, float]:
    """Return border statistics (24,), mean color (3,) and the share of pixels not black."""
    height, width = rgb.shape[:2]
    rows, columns = max(1, round(height * BORDER)), max(1, round(width * BORDER))
    strips = (rgb[:rows], rgb[-rows:], rgb[:, :columns], rgb[:, -columns:])
    border = [part(strip, axis=(0, 1)) for strip in strips for part in (np.mean, np.std)]
    shown = rgb.any(axis=2)
    color = rgb[shown].mean(axis=0) if shown.any() else np.zeros(3)
    return np.concatenate(border), color, shown.mean()


def _formats(cells: pd.DataFrame) -> str:
    """Say what the size of the files means in these formats."""
    endings = sorted({pathlib.Path(path).suffix.lower().lstrip(".") for path in cells["path"]})
    kinds = "/".join(ending.upper() for ending in endings)
    if endings == ["bmp"]:
        return "BMP: not compressed"
    return f"{kinds}: how well an image compresses"


def _score(
    cells: pd.DataFrame,
    numbers: NDArray | None,
    folds: Sequence[splits.Fold],
    seed: int,
    draws: int,
) -> dict[str, Any]:
    """Score a shortcut; ``numbers`` is None where they are the same in all images."""
    classes = list(cells.attrs.get("classes", sorted(cells["label"].unique())))
    over, groups_are = metrics.groups(cells)
    scored = {"images": len(cells), "groups": over.nunique(), "groups_are": groups_are}
    scored |= {"auc chance": 0.5, "balanced_accuracy chance": 1 / len(classes)}
    frame = pd.DataFrame(np.nan, index=list(QUANTITIES), columns=["point", "low", "high"])
    if numbers is not None:
        predictions = _predict(cells, numbers, folds, seed, classes)
        frame = metrics.bootstrap(predictions.assign(group=over.to_numpy()), "group", draws)
    for name in QUANTITIES:
        ends = (name, f"{name} low", f"{name} high")
        scored |= dict(zip(ends, frame.loc[name, ["point", "low", "high"]], strict=True))
    return scored


def _predict(
    cells: pd.DataFrame,
    numbers: NDArray,
    folds: Sequence[splits.Fold],
    seed: int,
    classes: list[str],
) -> pd.DataFrame:
    """Return the predictions of every image by the forest of the fold that tests it."""
    from sklearn.ensemble import RandomForestClassifier

    labels = cells["label"].to_numpy(dtype=object).astype(str)
    probabilities = np.zeros((len(cells), len(classes)))
    for fold in folds:
        forest = RandomForestClassifier(
            TREES, min_samples_leaf=5, class_weight="balanced", random_state=seed
        )
        forest.fit(numbers[fold.train], labels[fold.train])
        probabilities[fold.test] = classifiers.class_scores(forest, numbers[fold.test], classes)
    return metrics.prediction_frame(cells, probabilities, classes)
