"""The frame that every score is computed from.

``predictions`` has one row per test image: ``image_id``, ``subject``, ``label`` and one column
``prob_<class>`` per class, in the order of the classes. The predicted class is the one with the
highest probability (the first of equal ones).
"""

import numpy as np
import pandas as pd


def check_predictions(predictions):
    """Check that ``predictions`` can be scored.

    Args:
        predictions: See the module. A column ``fold`` may tell several folds apart.

    Returns:
        The class names, from the ``prob_`` columns.

    Raises:
        ValueError: No rows, missing columns, unknown labels, values that are no probabilities
            or do not sum to 1 (within 1e-6), or an image twice in a fold. The message names the
            first image concerned.
    """
    classes = tuple(name.removeprefix("prob_") for name in predictions if name[:5] == "prob_")
    lacking = [name for name in ("image_id", "subject", "label") if name not in predictions]
    if lacking or len(classes) < 2:
        raise ValueError(
            "predictions need the columns image_id, subject, label and prob_<class> for at least "
            f"two classes; found: {', '.join(map(str, predictions.columns))}"
        )
    if len(predictions) == 0:
        raise ValueError("predictions have no rows: there is nothing to score")
    values = class_probabilities(predictions, classes)
    problems = {
        f"has a label that is none of {', '.join(classes)}": ~predictions["label"].isin(classes),
        "has a probability outside 0..1 or none": ~((values >= 0) & (values <= 1)).all(axis=1),
        "has probabilities that do not sum to 1": abs(values.sum(axis=1) - 1) > 1e-6,
        "occurs twice (if each time in another fold, add a column 'fold')": predictions.duplicated(
            [name for name in ("fold", "image_id") if name in predictions]
        ),
    }
    for problem, rows in problems.items():
        rows = np.asarray(rows, dtype=bool)
        if rows.any():
            raise ValueError(
                f"predictions: image {predictions['image_id'].iloc[rows.argmax()]!r} {problem} "
                f"({rows.sum()} of {len(rows)} rows)"
            )
    return classes


def prediction_frame(cells, probabilities, classes):
    """Return the frame of predictions of some images: who they are, and what was said of them.

    Args:
        cells: Frame with ``image_id, subject, label``.
        probabilities: (images, classes).
        classes: Class names, in the order of the columns.
    """
    table = cells[["image_id", "subject", "label"]].reset_index(drop=True)
    return table.join(pd.DataFrame(probabilities, columns=[f"prob_{name}" for name in classes]))


def groups(predictions):
    """Return what intervals are drawn over, and its name.

    Args:
        predictions: Frame with ``image_id`` and ``subject``.

    Returns:
        A column of group names, and ``"subjects"``; ``"block proxies"`` where blocks of neighbors
        stand in for subjects; or ``"original images"`` where no patient is known: then an augmented
        copy still counts with its original.
    """
    if predictions["subject"].notna().all():
        is_proxy = predictions["subject"].str.startswith("proxy:").all()
        return predictions["subject"], "block proxies" if is_proxy else "subjects"
    return predictions["image_id"].str.partition("#")[0], "original images"


def class_probabilities(predictions, classes):
    """Return the probabilities as float64 (images, classes)."""
    return predictions[[f"prob_{name}" for name in classes]].to_numpy(dtype=float)


def class_codes(predictions, classes):
    """Return actual and predicted class of each row as positions in ``classes``."""
    actual = pd.Index(classes).get_indexer(predictions["label"].astype(object))
    return actual, class_probabilities(predictions, classes).argmax(axis=1)


def positive_code(classes, positive):
    """Return the position of the positive class, None for the mean over classes."""
    if positive is None:
        return 1 if len(classes) == 2 else None
    if positive not in classes:
        raise ValueError(f"positive={positive!r} is none of the classes {', '.join(classes)}")
    return classes.index(positive)


def cluster_codes(predictions, by):
    """Return a cluster code per row, and the number of clusters."""
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
