"""The searches: complete against brute force, and right by examples done by hand."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_fscore_support
from sklearn.model_selection import StratifiedKFold

from leukkit.audit import search
from tests.audit.little import number, shown

FIVE = ("accuracy", "sensitivity", "specificity", "precision", "f1")


def five_scores(positives, negatives, hits, rejects, digits, is_rounded):
    """Return the five scores of a matrix as printed numbers, by their textbook definitions."""
    missed, taken = positives - hits, negatives - rejects
    ratios = [
        (hits + rejects, positives + negatives),
        (hits, positives),
        (rejects, negatives),
        (hits, hits + taken),
        (2 * hits, 2 * hits + missed + taken),
    ]
    return [
        number(shown(*ratio, digits, is_rounded), quantity)
        for quantity, ratio in zip(FIVE, ratios, strict=True)
    ]


def test_ratios_are_those_of_scikit_learn_for_every_class():
    counts = np.random.default_rng(0).integers(1, 9, (3, 3))
    labels = np.repeat(np.indices((3, 3)).reshape(2, -1), counts.ravel(), axis=1)
    quantities = ("precision", "recall", "f1", "support")
    expected = precision_recall_fscore_support(*labels)
    for place in range(3):
        ratios = search.ratios(counts, place)
        for quantity, values in zip(quantities, expected, strict=True):
            numerator, denominator = ratios[quantity]
            assert numerator / denominator == pytest.approx(values[place])
        others = np.delete(np.delete(counts, place, 0), place, 1).sum()
        assert ratios["specificity"] == (others, np.delete(counts, place, 0).sum())
        assert ratios["accuracy"] == (np.trace(counts), counts.sum())


@settings(max_examples=20)
@given(st.data())
def test_the_search_finds_what_trying_every_matrix_finds(data):
    positives, negatives = (data.draw(st.integers(1, 12)) for _ in range(2))
    keys = data.draw(st.sampled_from([(None, q) for q in FIVE] + [("no", "recall"), ("no", "f1")]))
    chosen = data.draw(st.lists(st.sampled_from(FIVE), unique=True))
    row = [number(str(data.draw(st.integers(0, 100))), quantity) for quantity in chosen]
    label = {"label": keys[0]} if keys[0] else {}
    if keys[0] or keys[1] not in chosen:
        row.append(number(str(data.draw(st.integers(0, 100))), keys[1], **label))
    expected = []
    for hits, rejects in itertools.product(range(positives + 1), range(negatives + 1)):
        counts = np.array([[hits, positives - hits], [negatives - rejects, rejects]])
        ratios = [search.ratios(counts, int("label" in one.keys))[one.quantity] for one in row]
        if all(one.is_met(*ratio) for one, ratio in zip(row, ratios, strict=True)):
            expected.append(counts.tolist())
    assert sorted(search.matrices(row, "ALL", positives, negatives).tolist()) == sorted(expected)


@settings(max_examples=20)
@given(st.data())
def test_other_class_sizes_hold_the_true_ones(data):
    positives, negatives = (data.draw(st.integers(1, 200)) for _ in range(2))
    hits, rejects = data.draw(st.integers(1, positives)), data.draw(st.integers(0, negatives))
    row = five_scores(positives, negatives, hits, rejects, 2, True)
    sizes = np.arange(1, positives + negatives)
    found = search.matrices(row, "ALL", sizes, positives + negatives - sizes)
    assert [[hits, positives - hits], [negatives - rejects, rejects]] in found.tolist()
    assert (found.sum(axis=(1, 2)) == positives + negatives).all()


def test_shared_errors_are_those_that_some_matrix_has():
    supports, total = (2, 2, 1), 5
    seen = set()
    for cells in itertools.product(range(3), repeat=6):
        wrong = np.zeros((3, 3), dtype=int)
        wrong[~np.eye(3, dtype=bool)] = cells
        if (wrong.sum(axis=1) <= supports).all():
            seen.add((tuple(wrong.sum(axis=1)), tuple(wrong.sum(axis=0))))
    for picked in itertools.product(range(5), repeat=6):
        missed, taken = picked[:3], picked[3:]
        if any(m > s for m, s in zip(missed, supports, strict=True)):
            continue
        classes = [
            np.array([[[s - m, m], [t, total - s - t]]])
            for s, m, t in zip(supports, missed, taken, strict=True)
        ]
        expected = {sum(missed): 1} if (missed, taken) in seen else {}
        assert search.shared_errors(classes) == expected, picked


def test_a_mean_over_folds_is_found_and_within_the_bounds():
    labels = np.repeat([0, 1], (41, 60))
    folds = StratifiedKFold(4).split(labels, labels)
    sizes = [np.bincount(labels[test], minlength=2) for _, test in folds]
    generator = np.random.default_rng(1)
    for _ in range(5):
        rates = []
        for negatives, positives in sizes:
            taken, missed = generator.integers(0, 5, 2)
            hits, rejects = positives - missed, negatives - taken
            accuracy = (hits + rejects) / (positives + negatives)
            rates.append((accuracy, hits / positives, rejects / negatives, hits / (hits + taken)))
        means = dict(zip(FIVE[:4], np.mean(rates, axis=0), strict=True))
        row = [number(f"{100 * mean:.2f}", quantity) for quantity, mean in means.items()]
        assert search.is_mean_of_folds(row, (60, 41), 4)
        for quantity, (low, high) in search.mean_bounds(row, (60, 41), 4).items():
            assert low <= means[quantity] + 1e-9 and means[quantity] - 1e-9 <= high


def test_means_of_four_folds_by_hand():
    # Four folds of 15 ALL cells, so a mean sensitivity is a multiple of 1/60
    between = [number("98.00", "sensitivity"), number("100.00", "specificity")]
    assert search.is_mean_of_folds(between, (60, 41), 4) is False
    assert search.is_mean_of_folds([number("98.33", "sensitivity"), between[1]], (60, 41), 4)
    assert search.is_mean_of_folds([number("98.00", "sensitivity")], (60, 41), 4) is None


def test_bounds_of_two_equal_folds_by_hand():
    row = [number("90", "sensitivity"), number("80", "specificity")]
    low, high = search.mean_bounds(row, (20, 20), 2)["accuracy"]
    assert [low, high] == pytest.approx([0.845, 0.86])  # (89.5 + 79.5) / 2, (91 + 81) / 2
    # specificity below 81%: more than 3.8 of 20 false positives, all in a fold of 10 ALL cells
    assert search.mean_bounds(row, (20, 20), 2)["precision"][1] == pytest.approx((1 + 10 / 14) / 2)
    assert search.mean_bounds(row[:1], (20, 20), 2) == {}
