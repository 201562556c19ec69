"""Scores with the labels in another order, against all orders counted by hand."""

import itertools

import numpy as np
import pandas as pd
import pytest

from leukkit import metrics
from leukkit.metrics import shuffling

LABELS = ["ALL"] * 3 + ["healthy"] * 2
PREDICTED = ["ALL", "ALL", "healthy", "ALL", "healthy"]


def frame(labels):
    sure = {"ALL": [0.1, 0.9], "healthy": [0.9, 0.1]}
    table = pd.DataFrame([sure[name] for name in PREDICTED], columns=["prob_healthy", "prob_ALL"])
    ids = [f"{number}" for number in range(5)]
    return table.assign(image_id=ids, subject=ids, label=labels)


def every_order():
    return [metrics.confusion(frame(list(order))) for order in itertools.permutations(LABELS)]


def test_the_distribution_is_that_of_all_orders():
    found = shuffling.orders(metrics.confusion(frame(LABELS)))
    accuracies = [np.trace(counts.to_numpy()) / 5 for counts in every_order()]
    values, times = np.unique(accuracies, return_counts=True)
    np.testing.assert_allclose(found["accuracy"], values)
    np.testing.assert_allclose(found["probability"], times / times.sum())


def test_the_mean_of_each_score_is_that_of_all_orders_and_its_ends_are_attained():
    found = shuffling.scores_over_orders(metrics.confusion(frame(LABELS)))
    for (quantity, label), row in found.iterrows():
        at = ["healthy", "ALL"].index(label)
        scores = [metrics.class_scores(one.to_numpy(float))[quantity][at] for one in every_order()]
        assert row["mean"] == pytest.approx(np.mean(scores))
        assert row["low"] == pytest.approx(min(scores))
        assert row["high"] == pytest.approx(max(scores))
    assert found.loc[("recall", "ALL"), "found"] == pytest.approx(2 / 3)


def test_shuffled_labels_are_the_same_labels_and_predictions_stay():
    before = frame(LABELS)
    after = shuffling.shuffle_labels(before, seed=1)
    assert sorted(after["label"]) == sorted(LABELS) and list(after["label"]) != LABELS
    pd.testing.assert_frame_equal(after.drop(columns="label"), before.drop(columns="label"))


def test_more_than_two_classes_are_refused():
    with pytest.raises(ValueError, match=r"\(3, 3\).*two classes"):
        shuffling.orders(pd.DataFrame(np.eye(3, dtype=int)))
