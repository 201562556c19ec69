"""The frame that every score is computed from.

``predictions`` has one row per test image: ``image_id``, ``subject``, ``label`` and one column
``prob_<class>`` per class, in the order of the classes. A column ``fold`` tells folds apart. The
predicted class is the one with the highest probability (the first of equal ones).
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from leukkit.datasets.cells import PROXY, label_codes

STEPS = 20  # between the weights 0 and 1 of a network


class Arrays(NamedTuple):
    """What a frame of predictions holds, as arrays.

    Attributes:
        classes: The class names.
        actual: Actual class of each image, as a position in ``classes``.
        predicted: The predicted one.
        probabilities: (images, classes).
    """

    classes: tuple[str, ...]
    actual: NDArray[np.intp]
    predicted: NDArray[np.intp]
    probabilities: NDArray[np.float64]

    @property
    def is_right(self) -> NDArray[np.bool_]:
        """Which images are predicted right."""
        return self.actual == self.predicted

    @property
    def likelihoods(self) -> NDArray[np.float64]:
        """The probability of each image's actual class."""
        return self.probabilities[np.arange(len(self.actual)), self.actual]


def class_names(frame: pd.DataFrame) -> tuple[str, ...]:
    """Return the classes that a frame has probabilities of, in the order of its columns."""
    names = map(str, frame)
    return tuple(name.removeprefix("prob_") for name in names if name.startswith("prob_"))


def arrays(predictions: pd.DataFrame) -> Arrays:
    """Return what ``predictions`` hold, once it is sure that they can be scored.

    Raises:
        ValueError: No rows, missing columns, unknown labels, values that are no probabilities
            or do not sum to 1 (within 1e-6), or an image twice in a fold. The message names the
            first image concerned.
    """
    columns = [str(name) for name in predictions]
    classes = class_names(predictions)
    if not {"image_id", "subject", "label"} <= set(columns) or len(classes) < 2:
        raise ValueError(
            "predictions need the columns image_id, subject, label and prob_<class> for at least "
            f"two classes; found: {', '.join(columns)}"
        )
    if len(predictions) == 0:
        raise ValueError("predictions have no rows: there is nothing to score")
    probabilities = predictions[[f"prob_{name}" for name in classes]].to_numpy(dtype=float)
    actual = label_codes(predictions, classes, "predictions")
    is_probability = (probabilities >= 0) & (probabilities <= 1)
    problems = {
        "has a probability outside 0..1 or none": ~is_probability.all(axis=1),
        "has probabilities that do not sum to 1": abs(probabilities.sum(axis=1) - 1) > 1e-6,
        "occurs twice (if each time in another fold, add a column 'fold')": predictions.duplicated(
            [name for name in ("fold", "image_id") if name in predictions]
        ).to_numpy(),
    }
    for problem, rows in problems.items():
        if rows.any():
            raise ValueError(
                f"predictions: image {predictions['image_id'].iloc[rows.argmax()]!r} {problem} "
                f"({rows.sum()} of {len(rows)} rows)"
            )
    return Arrays(classes, actual, probabilities.argmax(axis=1), probabilities)


def check_predictions(predictions: pd.DataFrame) -> tuple[str, ...]:
    """Check ``predictions`` as `arrays` does, and return the names of their classes."""
    return arrays(predictions).classes


def prediction_frame(
    cells: pd.DataFrame, probabilities: ArrayLike, classes: Sequence[str]
) -> pd.DataFrame:
    """Return the predictions of some ``cells``, given their probabilities (cells, classes)."""
    frame = cells[["image_id", "subject", "label"]].reset_index(drop=True)
    return with_probabilities(frame, probabilities, classes)


def with_probabilities(
    frame: pd.DataFrame, probabilities: ArrayLike, classes: Sequence[str]
) -> pd.DataFrame:
    """Return a copy of ``frame`` with these probabilities (rows, classes)."""
    columns = np.asarray(probabilities).T
    return frame.assign(
        **{f"prob_{name}": column for name, column in zip(classes, columns, strict=True)}
    )


def average(members: Sequence[pd.DataFrame], weights: ArrayLike | None = None) -> pd.DataFrame:
    """Average the class probabilities of several networks (sultana, 2.4 and Table 7).

    Args:
        members: Predictions of the same images, in any order of rows.
        weights: One number per member, at least 0, not all 0; None weighs all alike.

    Returns:
        Predictions, rows in the order of the first member.

    Raises:
        ValueError: The members' images or classes differ, or the weights do not fit.
    """
    stacked = _stack(members)
    weights = np.ones(len(members)) if weights is None else np.asarray(weights, float)
    if weights.shape != (len(members),) or (weights < 0).any() or weights.sum() <= 0:
        raise ValueError(f"weights {weights} for {len(members)} members: one each, none negative")
    averaged = np.tensordot(weights / weights.sum(), stacked, axes=1)
    return with_probabilities(members[0], averaged, check_predictions(members[0]))


def fit_weights(members: Sequence[pd.DataFrame]) -> NDArray[np.float64]:
    """Return the weights of `average` with the smallest log loss on validation images.

    All weights in steps of 0.05 that sum to 1 are tried; of equal ones the first is taken.

    Returns:
        float64 (members,).

    Raises:
        ValueError: The members' images or classes differ.
    """
    actual = arrays(members[0]).actual
    likelihoods = _stack(members)[:, np.arange(len(actual)), actual]
    tried = [
        np.array(steps) / STEPS
        for steps in itertools.product(range(STEPS + 1), repeat=len(members))
        if sum(steps) == STEPS
    ]
    losses = [-np.log(np.clip(weights @ likelihoods, 1e-12, 1)).mean() for weights in tried]
    return tried[int(np.argmin(np.round(losses, 12)))]


def _stack(members):
    """Return the probabilities (members, images, classes), images in the order of the first."""
    first = members[0]
    keys = [name for name in ("fold", "image_id") if name in first]
    stacked = []
    for number, frame in enumerate(members):
        if check_predictions(frame) != check_predictions(first) or len(frame) != len(first):
            raise ValueError(f"member {number} has other classes or images than the first")
        matched = first[keys].merge(frame, on=keys, how="left", validate="one_to_one")
        if (missing := matched["label"].isna()).any():
            image = matched.loc[missing, "image_id"].iloc[0]
            raise ValueError(f"member {number} has no prediction for image {image!r}")
        stacked.append(arrays(matched).probabilities)
    return np.stack(stacked)


def groups(predictions: pd.DataFrame) -> tuple[pd.Series, str]:
    """Return what an interval is over, and its name.

    Returns:
        A column of group names, and ``"subjects"``; ``"block proxies"`` where blocks of neighbors
        are taken for subjects; or ``"original images"`` where no patient is known: then an
        augmented copy still counts with its original.
    """
    if predictions["subject"].notna().all():
        is_proxy = predictions["subject"].str.startswith(PROXY).all()
        return predictions["subject"], "block proxies" if is_proxy else "subjects"
    return predictions["image_id"].str.partition("#")[0], "original images"


def cluster_codes(predictions: pd.DataFrame, by: str) -> tuple[NDArray[np.intp], int]:
    """Number the values of the column ``by`` from 0, as they come.

    Returns:
        The number of each row's value, and how many values there are.

    Raises:
        ValueError: No such column, or missing values.
    """
    if by not in predictions:
        raise ValueError(f"by={by!r} is no column of the predictions: {list(predictions.columns)}")
    missing = int(predictions[by].isna().sum())
    if missing:
        raise ValueError(
            f"{missing} of {len(predictions)} predictions have no {by}. Score known subjects only, "
            "or pass by='image_id', which treats the cells of one subject as independent: the "
            "intervals are then too narrow"
        )
    codes, names = pd.factorize(predictions[by])
    return codes, len(names)
