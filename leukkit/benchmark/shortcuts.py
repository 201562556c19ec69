"""Shortcuts: what a classifier reaches that never sees the cell.

Each shortcut is a few numbers of an image that should not tell its class: the border, the mean
color, an area, the size of the file. A random forest learns from them under the same splits as any
other classifier. What it reaches beyond chance, a network may reach without looking at a cell.
"""

import pathlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd

from leukkit import images, metrics, segmentation, splits
from leukkit.metrics import groups, prediction_frame

SHORTCUTS = ("image border", "mean color", "mask area", "file size")
ALL = "all of these"
SPLITS = ("by image", "by subject")
QUANTITIES = ("auc", "balanced_accuracy")
BORDER = 1 / 32  # width of the outer ring, of the image's height or width
RARE = 0.05  # share of images: a shortcut that varies in fewer is said to
MOSTLY_BLACK = 0.2  # share of black pixels from which the images are cut-out cells on black
TREES = 100


def features(cells, threads=2):
    """Compute the numbers that each shortcut sees.

    Args:
        cells: The cells frame, originals only.
        threads: Number of threads.

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
    crops = cells["crop"] if "crop" in cells else [pd.NA] * len(cells)
    tasks = [
        (path, None if pd.isna(crop) else int(crop))
        for path, crop in zip(cells["path"], crops, strict=True)
    ]
    with ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(lambda task: _numbers(images.read(*task)), tasks))
        border, color, shown = (np.array(part) for part in zip(*found, strict=True))
        on_black = np.median(1 - shown) > MOSTLY_BLACK
        areas = shown
        if not on_black:
            areas = np.array(list(pool.map(lambda task: _nucleus(images.read(*task)), tasks)))
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


def check(cells, folds=5, seed=0, draws=2000, missing="error", seen=None):
    """Score what each shortcut tells about the class, by image and by subject.

    Args:
        cells: The cells frame, originals only; two classes or more.
        folds: Number of folds; every image is tested once.
        seed: Of the splits and of the random forest.
        draws: Bootstrap draws of the intervals.
        missing: As in `splits.subject_kfold`: ``"image"`` for data without patients, where the
            split by subject then only keeps identical files together.
        seen: The frame of `features`, if it was computed before.

    Returns:
        Frame, one row per shortcut and split: ``shortcut, split, sees`` (what exactly),
        ``constant`` (the same in all images: nothing to learn, no score), ``varied`` (share of
        images that differ from the most frequent value), ``auc, auc low, auc high`` and those of
        ``balanced_accuracy`` (0..1, 95% intervals; with more than two classes the AUC is the mean
        of each against the rest), ``auc chance, balanced_accuracy chance``, ``images, groups,
        groups_are``: what the intervals are drawn over.

    Raises:
        ValueError: As the splits, for example subjects missing and ``missing="error"``.
    """
    seen = features(cells) if seen is None else seen
    divided = {
        "by image": splits.stratified_kfold(cells, folds, seed=seed),
        "by subject": splits.subject_kfold(cells, folds, seed=seed, missing=missing),
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
        constant, varied = most_frequent == len(numbers), 1 - most_frequent / len(numbers)
        rarely = not constant and varied < RARE
        alike = f", the same in {1 - varied:.1%} of the images" if rarely else ""
        row = {
            "shortcut": shortcut,
            "sees": sees[shortcut] + alike,
            "constant": bool(constant),
            "varied": varied,
        }
        for split in SPLITS:
            scored = _score(cells, numbers, divided[split], seed, draws, row["constant"])
            rows.append(row | {"split": split} | scored)
    return pd.DataFrame(rows)


def table(checked, decimals=2):
    """Format the frame of `check` for reading, one row per shortcut.

    Args:
        checked: The frame of `check`.
        decimals: Of the scores.

    Returns:
        Frame of text indexed by shortcut and what it sees: AUC and balanced accuracy under each
        split; ``constant`` where all images have the same value.
    """
    rows = {}
    for row in checked.to_dict("records"):
        place = rows.setdefault((row["shortcut"], row["sees"]), {})
        for quantity in QUANTITIES:
            name = "AUC" if quantity == "auc" else "balanced accuracy"
            score, low, high = (row[f"{quantity}{end}"] for end in ("", " low", " high"))
            text = metrics.with_interval(score, low, high, decimals)
            place[f"{name}, {row['split']}"] = "constant" if row["constant"] else text
    first = checked.iloc[0]
    chance = {"AUC": first["auc chance"], "balanced accuracy": first["balanced_accuracy chance"]}
    rows[("chance", "nothing")] = {
        name: f"{chance[name.partition(',')[0]]:.{decimals}f}" for name in next(iter(rows.values()))
    }
    text = pd.DataFrame.from_dict(rows, orient="index")
    text.index.names = ["shortcut", "sees"]
    return text


def _numbers(rgb):
    """Return border statistics (24,), mean color (3,) and the share of pixels not black."""
    height, width = rgb.shape[:2]
    rows, columns = max(1, round(height * BORDER)), max(1, round(width * BORDER))
    strips = (rgb[:rows], rgb[-rows:], rgb[:, :columns], rgb[:, -columns:])
    border = [part(strip, axis=(0, 1)) for strip in strips for part in (np.mean, np.std)]
    shown = rgb.any(axis=2)
    color = rgb[shown].mean(axis=0) if shown.any() else np.zeros(3)
    return np.concatenate(border), color, shown.mean()


def _nucleus(rgb):
    return segmentation.segment_nucleus(rgb).mean()


def _formats(cells):
    """Say what the size of the files means in these formats."""
    endings = sorted({pathlib.Path(path).suffix.lower().lstrip(".") for path in cells["path"]})
    kinds = "/".join(ending.upper() for ending in endings)
    if endings == ["bmp"]:
        return "BMP: not compressed"
    return f"{kinds}: how well an image compresses"


def _score(cells, numbers, folds, seed, draws, constant):
    classes = list(cells.attrs.get("classes", sorted(cells["label"].unique())))
    over, groups_are = groups(cells)
    scored = {"images": len(cells), "groups": over.nunique(), "groups_are": groups_are}
    scored |= {"auc chance": 0.5, "balanced_accuracy chance": 1 / len(classes)}
    if constant:
        names = [f"{name}{end}" for name in QUANTITIES for end in ("", " low", " high")]
        return scored | dict.fromkeys(names, np.nan)
    predictions = _predict(cells, numbers, folds, seed, classes).assign(group=over.to_numpy())
    frame = metrics.bootstrap(predictions, by="group", draws=draws)
    for name in QUANTITIES:
        scored[name] = frame.loc[name, "point"]
        scored[f"{name} low"], scored[f"{name} high"] = frame.loc[name, ["low", "high"]]
    return scored


def _predict(cells, numbers, folds, seed, classes):
    """Return the predictions of every image by the forest of the fold that tests it."""
    from sklearn.ensemble import RandomForestClassifier

    labels = cells["label"].to_numpy(dtype=object).astype(str)
    probabilities = np.zeros((len(cells), len(classes)))
    for fold in folds:
        forest = RandomForestClassifier(
            TREES, min_samples_leaf=5, class_weight="balanced", random_state=seed
        )
        forest.fit(numbers[fold.train], labels[fold.train])
        order = [list(forest.classes_).index(name) for name in classes]
        probabilities[fold.test] = forest.predict_proba(numbers[fold.test])[:, order]
    return prediction_frame(cells, probabilities, classes)
