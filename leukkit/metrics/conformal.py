"""Sets of classes that hold for an image of a new subject, at a chosen level.

The cells of one subject are alike, so an image of another is not exchangeable with them, and split
conformal prediction over images promises too much. Lee, Barber & Willett 2023, "Distribution-free
inference with hierarchical data", equation 6: each of K calibration subjects shares the weight
1/(K + 1) among its images, and the new subject's lies at infinity. If subjects are exchangeable,
and within each its images, then the set of an image holds its true class with at least the chosen
probability (their Theorem 1). That is so on average over subjects and images: of one subject more
images can be wrong, and of the images whose set is one class as well.
"""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from leukkit.metrics.predictions import arrays

LEVELS = tuple(percent / 100 for percent in range(50, 100))


def quantile(scores: ArrayLike, groups: ArrayLike, level: float) -> float:
    """Return the number that the score of an image of a new group exceeds at most so often.

    With one image in each group it is that of split conformal prediction, the
    ceil((K + 1) level)-th smallest of K scores.

    Args:
        scores: (n,), the larger the stranger.
        groups: For each, its subject.
        level: 0..1, the share that must not exceed it.

    Returns:
        One of the scores; infinity for fewer groups than `fewest`.
    """
    scores = np.asarray(scores, np.float64)
    _, codes, counts = np.unique(np.asarray(groups, str), return_inverse=True, return_counts=True)
    order = np.argsort(scores)
    below = np.cumsum(1 / counts[codes[order]])
    place = np.searchsorted(below, level * (len(counts) + 1) - 1e-9)  # 1e-9: rounding
    return float(scores[order][place]) if place < len(scores) else np.inf


def fewest(level: float) -> int:
    """Return how many subjects it takes to promise less than all classes: 1 / (1 - level) - 1."""
    return math.ceil(round(level / (1 - level), 9))


def limits(predictions: pd.DataFrame) -> list[float]:
    """Return for each of `LEVELS` the largest score of a class in a set, 0..1.

    The score of a class is one minus its probability. Infinity: all classes are in every set. The
    predictions are of images of subjects that were not trained on.
    """
    scores = 1 - arrays(predictions).likelihoods
    return [quantile(scores, predictions["subject"], level) for level in LEVELS]


def place(level: float) -> int:
    """Return where a level stands among `LEVELS`.

    Raises:
        ValueError: It is no whole percent from 0.50 to 0.99.
    """
    nearest = int(np.abs(np.array(LEVELS) - level).argmin())
    if not abs(LEVELS[nearest] - level) < 1e-9:
        raise ValueError(f"level={level!r}: sets are kept for whole percents, 0.50, 0.51 … 0.99")
    return nearest


def sets(probabilities: ArrayLike, limit: float, classes: Sequence[str]) -> list[str]:
    """Return the set of each image as text: ``{ALL}``, ``{healthy, ALL}``, or ``none`` of them.

    ``probabilities`` are (images, classes), ``limit`` is one of `limits`.
    """
    names = np.asarray(classes, object)
    inside = 1 - np.asarray(probabilities, np.float64) <= limit
    return [f"{{{', '.join(names[row])}}}" if row.any() else "none" for row in inside]
