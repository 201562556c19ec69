"""Several networks asked about the same image (sultana, DEX)."""

import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from leukkit.metrics.predictions import arrays, check_predictions, with_probabilities

STEP = 0.05  # of the weights


def mean(members: Sequence[pd.DataFrame], weights: ArrayLike | None = None) -> pd.DataFrame:
    """Average the class probabilities of several networks (sultana, 2.4 and Table 7).

    Args:
        members: Prediction frames of the same images (see `leukkit.metrics.predictions`), in any
            order of rows.
        weights: One number per member, at least 0, not all 0; None weighs all alike.

    Returns:
        A prediction frame, rows in the order of the first member.

    Raises:
        ValueError: The members' images or classes differ, or the weights do not fit.
    """
    classes, stacked = check_predictions(members[0]), _stack(members)
    weights = np.ones(len(members)) if weights is None else np.asarray(weights, float)
    if weights.shape != (len(members),) or (weights < 0).any() or weights.sum() <= 0:
        raise ValueError(f"weights {weights} for {len(members)} members: one each, none negative")
    averaged = np.tensordot(weights / weights.sum(), stacked, axes=1)
    return with_probabilities(members[0], averaged, classes)


def fit_weights(members: Sequence[pd.DataFrame]) -> NDArray[np.float64]:
    """Return the weights with the smallest log loss on validation images.

    All weights in steps of 0.05 that sum to 1 are tried; of equal ones the first is taken.

    Args:
        members: Prediction frames of the validation images.

    Returns:
        float64 (members,), summing to 1.

    Raises:
        ValueError: The members' images or classes differ.
    """
    stacked = _stack(members)
    actual = arrays(members[0]).actual
    likelihoods = stacked[:, np.arange(len(actual)), actual]
    steps = round(1 / STEP)
    tried = [
        np.array([*first, steps - sum(first)]) / steps
        for first in itertools.product(range(steps + 1), repeat=len(members) - 1)
        if sum(first) <= steps
    ]
    losses = [-np.log(np.clip(weights @ likelihoods, 1e-12, 1)).mean() for weights in tried]
    return tried[int(np.argmin(np.round(losses, 12)))]


def _stack(members):
    """Return the probabilities (members, images, classes), images in the order of the first."""
    keys = [name for name in ("fold", "image_id") if name in members[0]]
    order = members[0][keys]
    stacked = []
    for number, frame in enumerate(members):
        if check_predictions(frame) != check_predictions(members[0]) or len(frame) != len(order):
            raise ValueError(f"member {number} has other classes or images than the first")
        matched = order.merge(frame, on=keys, how="left", validate="one_to_one")
        if (missing := matched["label"].isna()).any():
            image = matched.loc[missing, "image_id"].iloc[0]
            raise ValueError(f"member {number} has no prediction for image {image!r}")
        stacked.append(arrays(matched).probabilities)
    return np.stack(stacked)
