"""The search for confusion matrices: complete against brute force, and right by known examples."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedKFold

from leukkit import audit, papers
from leukkit.audit import attainable, binary, folds, multiclass
from leukkit.audit.sources import Paper
from tests.audit.little import card, images_for_test, number, shown, table, verdicts

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


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_row_computed_from_a_matrix_is_always_attainable(data):
    positives, negatives = (data.draw(st.integers(1, 400)) for _ in range(2))
    hits, rejects = data.draw(st.integers(1, positives)), data.draw(st.integers(0, negatives))
    digits, is_rounded = data.draw(st.integers(0, 2)), data.draw(st.booleans())
    row = five_scores(positives, negatives, hits, rejects, digits, is_rounded)
    found = binary.matrices(row, "ALL", positives, negatives).tolist()
    assert [hits, rejects] in found
    columns = [{"quantity": quantity} for quantity in FIVE]
    tables = [table(columns, [({}, [one.text for one in row])], part="test")]
    claims = images_for_test(ALL=positives, healthy=negatives)
    findings = audit.findings(card(tables, claims=claims), ["attainable", "identities"])
    assert "inconsistent" not in verdicts(findings)
    assert verdicts(findings)[0] == "consistent"


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_the_search_finds_what_trying_every_matrix_finds(data):
    positives, negatives = (data.draw(st.integers(1, 12)) for _ in range(2))
    texts = {quantity: data.draw(st.integers(0, 100)) for quantity in FIVE}
    chosen = data.draw(st.lists(st.sampled_from(FIVE), min_size=1, unique=True))
    row = [number(str(texts[quantity]), quantity) for quantity in chosen]
    expected = []
    for hits, rejects in itertools.product(range(positives + 1), range(negatives + 1)):
        ratios = binary.scores(hits, rejects, positives, negatives)
        if all(one.is_met(*ratios[one.quantity, True]) for one in row):
            expected.append([hits, rejects])
    assert sorted(binary.matrices(row, "ALL", positives, negatives).tolist()) == expected


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_other_class_sizes_hold_the_true_ones(data):
    positives, negatives = (data.draw(st.integers(1, 200)) for _ in range(2))
    hits, rejects = data.draw(st.integers(1, positives)), data.draw(st.integers(0, negatives))
    row = five_scores(positives, negatives, hits, rejects, 2, True)
    found = binary.class_sizes(row, "ALL", positives + negatives).tolist()
    assert [positives, negatives, hits, rejects] in found
    assert all(p + n == positives + negatives for p, n, _, _ in found)


def per_class_table(counts, digits, is_rounded):
    """Return a table of precision, recall, F1 and support; actual classes in the rows."""
    rows = []
    for index, label in enumerate("abcdef"[: len(counts)]):
        found = int(counts[index, index])
        actual, predicted = int(counts[index].sum()), int(counts[:, index].sum())
        ratios = [(found, predicted), (found, actual), (2 * found, actual + predicted)]
        texts = [shown(*ratio, digits, is_rounded) if ratio[1] else "" for ratio in ratios]
        rows.append(({"label": label}, [*texts, str(actual)]))
    columns = [{"quantity": q} for q in ("precision", "recall", "f1")]
    columns.append({"quantity": "support", "unit": "images"})
    return table(columns, rows, part="test", model="net")


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_rows_per_class_computed_from_a_matrix_are_always_attainable(data):
    side = data.draw(st.integers(3, 4))
    counts = np.array(
        [[data.draw(st.integers(0, 15)) for _ in range(side)] for _ in range(side)]
    ) + np.diag([1] * side)
    tables = [per_class_table(counts, data.draw(st.integers(0, 2)), data.draw(st.booleans()))]
    findings = audit.findings(card(tables), ["attainable", "identities"])
    assert set(verdicts(findings)) == {"consistent"}
    errors = int(counts.sum() - np.trace(counts))
    low, high = findings[0].recomputed.split(" errors")[0].split(" to ")
    assert int(low) <= errors <= int(high)


def test_shared_errors_are_those_that_some_matrix_has():
    supports = (2, 2, 1)
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
        classes = [np.array([[m, t]]) for m, t in zip(missed, taken, strict=True)]
        exists = (missed, taken) in seen
        assert bool(multiclass.shared_errors(classes)) == exists, picked


@pytest.fixture(scope="module")
def patel():
    return attainable.check(Paper(papers.load("patel2025")))


@pytest.mark.parametrize(
    ("model", "matrix"),
    [
        ("resnet18", "TP1078 FN13 TN501 FP7"),
        ("shufflenet", "TP1062 FN29 TN493 FP15"),
        ("googlenet", "TP1072 FN19 TN504 FP4"),
    ],
)
def test_the_compared_networks_of_patel_have_one_matrix_each(patel, model, matrix):
    (row,) = [finding for finding in patel if finding.claim.startswith(model)]
    assert (row.verdict, row.recomputed) == ("consistent", matrix)


def test_the_proposed_network_of_patel_has_none_not_even_as_a_mean_of_folds(patel):
    row, folds = [finding for finding in patel if finding.claim.startswith("vgg19")]
    assert (row.verdict, row.recomputed) == ("inconsistent", "no integer matrix")
    assert "exchanged (508 + 1091) none" in row.evidence
    assert "whole data set (7272 + 3389) none" in row.evidence
    assert folds.verdict == "inconsistent"
    assert "precision 0.00 to 99.47" in folds.recomputed  # (6 + 156/162) / 7
    assert folds.recomputed.count("no folds give the rates") == 2  # the test part, and all images


def test_whole_images_in_the_folds_are_searched_exactly():
    labels = np.repeat([0, 1], (41, 60))
    sizes = [
        np.bincount(labels[test], minlength=2)
        for _, test in StratifiedKFold(4).split(labels, labels)
    ]
    generator = np.random.default_rng(1)
    for _ in range(10):
        taken, missed = generator.integers(0, 5, (2, len(sizes)))
        rates = [
            (1 - (one_taken + one_missed) / (n + p), 1 - one_missed / p, 1 - one_taken / n)
            for (n, p), one_taken, one_missed in zip(sizes, taken, missed, strict=True)
        ]
        means = np.mean(rates, axis=0)
        row = [number(f"{100 * mean:.2f}", q) for mean, q in zip(means, FIVE[:3], strict=True)]
        assert folds.attainable(row, (60, 41), 4)
    # By hand: four folds of 15 ALL cells, so a mean sensitivity is a multiple of 1/60
    between = [number("98.00", "sensitivity"), number("100.00", "specificity")]
    assert not folds.attainable(between, (60, 41), 4)
    assert folds.attainable([number("98.33", "sensitivity"), between[1]], (60, 41), 4)
    assert folds.attainable([number("98.00", "sensitivity")], (60, 41), 4) is None


def test_a_mean_over_folds_that_is_one_is_within_the_bounds():
    generator = np.random.default_rng(0)
    sizes = [(156, 73), (156, 73), (156, 73), (156, 73), (156, 72), (156, 72), (155, 72)]
    for _ in range(50):
        rates = []
        for positives, negatives in sizes:
            missed, taken = generator.integers(0, 8, 2)
            hits, rejects = positives - missed, negatives - taken
            accuracy = (hits + rejects) / (positives + negatives)
            rates.append((accuracy, hits / positives, rejects / negatives, hits / (hits + taken)))
        means = np.mean(rates, axis=0)
        row = [number(f"{100 * mean:.2f}", q) for mean, q in zip(means, FIVE[:4], strict=True)]
        limits = folds.bounds(row, (1091, 508), 7)
        for quantity, mean in zip(FIVE[:4], means, strict=True):
            if quantity in limits:
                assert limits[quantity][0] <= mean + 1e-9
                assert mean - 1e-9 <= limits[quantity][1]


def test_an_accuracy_in_another_table_must_fit_the_values_per_class():
    counts = np.array([[8, 1, 0], [0, 9, 0], [1, 0, 10]])  # 27 of 29 right: 93.1%
    for text, verdict in (("93.1", "consistent"), ("89.0", "inconsistent")):
        accuracy = table([{"quantity": "accuracy"}], [({}, [text])], "Table 2", part="test")
        accuracy["where"]["model"] = "net"
        findings = audit.findings(
            card([per_class_table(counts, 2, True), accuracy]), ["attainable"]
        )
        assert verdicts(findings) == ["consistent", verdict]


def test_without_test_counts_a_row_is_not_checkable():
    columns = [{"quantity": "sensitivity"}, {"quantity": "specificity"}]
    findings = audit.findings(
        card([table(columns, [({}, ["90", "80"])], part="test")]), ["attainable"]
    )
    assert verdicts(findings) == ["not checkable"]
