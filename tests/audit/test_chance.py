"""Chance and leads: by hand, against all permutations, and in the papers."""

import itertools

import numpy as np
import pytest

from leukkit import audit, papers
from leukkit.audit import chance
from tests.audit.little import card, images, matrix, table


def test_chi_square_of_a_table_done_by_hand():
    # expected 12, 8, 18, 12: 4/12 + 4/8 + 4/18 + 4/12
    statistic, p, freedom = chance.independence(np.array([[10, 10], [20, 10]]))
    assert freedom == 1
    assert statistic == pytest.approx(4 / 12 + 4 / 8 + 4 / 18 + 4 / 12)
    assert p == pytest.approx(0.239, abs=0.001)


def test_predictions_of_one_class_alone_are_independent_of_the_truth():
    assert chance.independence(np.array([[30, 0], [70, 0]]))[:2] == (0, 1)


def test_a_class_of_one_image_counts():
    for counts in ([[1, 0], [3, 6]], [[1, 3], [0, 6]]):  # expected 0.4, 0.6, 3.6, 5.4
        statistic, _, freedom = chance.independence(np.array(counts))
        assert freedom == 1
        assert statistic == pytest.approx(0.36 * (1 / 0.4 + 1 / 0.6 + 1 / 3.6 + 1 / 5.4))


def test_shuffled_accuracy_is_that_of_all_permutations():
    labels, predictions = [0, 0, 1, 1, 2, 2], np.array([0, 1, 1, 1, 0, 2])
    counts = np.zeros((3, 3), dtype=np.int64)
    np.add.at(counts, (labels, predictions), 1)
    accuracies = [np.mean(predictions == order) for order in itertools.permutations(labels)]
    mean, deviation = chance.shuffled_accuracy(counts)
    assert mean == pytest.approx(np.mean(accuracies))
    assert deviation == pytest.approx(np.std(accuracies))


def test_the_lead_is_the_smallest_that_the_digits_allow():
    rows = [({"model": model}, [text]) for model, text in (("a", "91"), ("b", "85"), ("c", "20"))]
    tables = [table([{"quantity": "accuracy"}], rows, part="test")]
    (found,) = audit.findings(card(tables, claims=[images(1000, part="test")]), ["significance"])
    # 91 may be 905 of 1000 and 85 as many as 859, which Fisher's test tells apart with p 0.0018
    assert found.claim == "a 91 ahead of b 85"
    assert (found.verdict, found.recomputed) == ("consistent", "910 vs 850 of 1000, p 0.0018")
    assert found.evidence.startswith("60 images of 1000 (II: 1000 images in test)")


@pytest.mark.parametrize(
    ("rank", "verdict"), [("highest", "inconsistent"), ("lowest", "consistent")]
)
def test_a_claimed_rank_is_that_of_the_printed_matrices(rank, verdict):
    matrices = [matrix([[9, 1], [0, 9]], model="a"), matrix([[5, 1], [0, 5]], model="b")]
    claim = ("Abstract", {"quantity": "accuracy", "model": "b", "rank": rank}, "percent", "91")
    (found,) = audit.findings(card(matrices=matrices, claims=[claim]), ["significance"])
    assert found.verdict == verdict


def test_shuffled_accuracies_are_those_of_all_orders_gone_through():
    # 4 of 6 are ALL, 3 are predicted so; 2 of the ALL are found
    printed = matrix([[2, 2], [1, 1]], classes=["ALL", "healthy"], orientation="rows are actual")
    row = audit.shuffled_accuracies(card(matrices=[printed])).loc["net"]
    predicted = np.array([1, 1, 0, 0, 1, 0])
    orders = [np.mean(predicted == one) for one in itertools.permutations([1, 1, 1, 1, 0, 0])]
    assert row["low"] == row["high"] == pytest.approx(50)
    ends = [100 * min(orders), 100 * max(orders)]  # the ends are likelier than 2.5% each
    assert row[["shuffled low", "shuffled high"]].tolist() == pytest.approx(ends)
    assert row["best"] == pytest.approx(100 * max(orders))


def test_table_iv_of_samhitha_has_the_accuracies_of_chance():
    frame = audit.shuffled_accuracies(papers.load("samhitha"), "Table IV").round(1)
    assert frame.loc["efficientnetb0-attention"].tolist() == [56.1, 56.9, 54.8, 59.6, 99.1]
    assert (frame["shuffled low"] < frame["low"]).all()
    assert (frame["high"] < frame["shuffled high"]).all()
