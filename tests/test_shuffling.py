"""Scores with the labels in another order, against all orders counted by hand."""

import itertools

import numpy as np
import pandas as pd
import pytest

from leukkit import metrics
from leukkit.metrics import shuffling
from tests.predicted import binary

LABELS, CHANCES = [1, 1, 1, 0, 0], [0.9, 0.9, 0.1, 0.9, 0.1]
PREDICTIONS = binary(LABELS, CHANCES)
COUNTS = metrics.confusion(PREDICTIONS)
ORDERS = [metrics.confusion(binary(one, CHANCES)) for one in itertools.permutations(LABELS)]


def test_the_distribution_is_that_of_all_orders():
    accuracies = [np.trace(counts.to_numpy()) / 5 for counts in ORDERS]
    values, times = np.unique(accuracies, return_counts=True)
    for counts in (COUNTS, COUNTS.iloc[::-1, ::-1]):  # the rarer class first, and last
        found = shuffling.orders(counts)
        np.testing.assert_allclose(found["accuracy"], values)
        np.testing.assert_allclose(found["probability"], times / times.sum())


def test_the_mean_of_each_score_is_that_of_all_orders_and_its_ends_are_attained():
    found = shuffling.scores_over_orders(COUNTS)
    for (quantity, label), row in found.iterrows():
        at = ["healthy", "ALL"].index(label)
        scores = [metrics.class_scores(one.to_numpy(float))[quantity][at] for one in ORDERS]
        assert row["mean"] == pytest.approx(np.mean(scores))
        assert row["low"] == pytest.approx(min(scores))
        assert row["high"] == pytest.approx(max(scores))
    assert found.loc[("recall", "ALL"), "found"] == pytest.approx(2 / 3)


def test_shuffled_labels_are_the_same_labels_and_predictions_stay():
    after = shuffling.shuffle_labels(PREDICTIONS, seed=1)
    before, labels = PREDICTIONS["label"].tolist(), after["label"].tolist()
    assert sorted(labels) == sorted(before) and labels != before
    pd.testing.assert_frame_equal(after.assign(label=before), PREDICTIONS, check_dtype=False)


def test_more_than_two_classes_are_refused():
    with pytest.raises(ValueError, match=r"\(3, 3\).*two classes"):
        shuffling.orders(pd.DataFrame(np.eye(3, dtype=int)))
