"""Printed matrices against tables, chance, and each other."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leukkit import audit, papers
from leukkit.audit import chance
from tests.audit.little import card, verdicts
from tests.audit.test_attainable import per_class_table


def matrix(counts, name="Figure 1", orientation="not stated", **where):
    classes = list("abcdef"[: len(counts)])
    where = {"part": "test", "model": "net"} | where
    printed = [[int(count) for count in row] for row in counts]
    return {
        "name": name, "where": where, "classes": classes, "orientation": orientation,
        "printed": printed,
    }  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_table_computed_from_a_matrix_fits_it_either_way_round(data):
    side = data.draw(st.integers(2, 4))
    counts = np.array(
        [[data.draw(st.integers(0, 40)) for _ in range(side)] for _ in range(side)]
    ) + np.diag([1] * side)
    tables = [per_class_table(counts, data.draw(st.integers(0, 2)), data.draw(st.booleans()))]
    drawn = counts.T if data.draw(st.booleans()) else counts
    findings = audit.findings(card(tables, [matrix(drawn)]), ["matrices"])
    assert verdicts(findings)[1:] == ["consistent"] * 5  # four quantities and the sum
    assert findings[0].recomputed.startswith(f"{np.trace(counts)}/{counts.sum()} = ")


def test_a_stated_orientation_is_not_turned():
    counts = np.array([[50, 10], [0, 40]])
    tables = [per_class_table(counts, 2, True)]
    printed = matrix(counts.T, orientation="rows are actual")
    findings = audit.findings(card(tables, [printed]), ["matrices"])
    assert "inconsistent" in verdicts(findings)


def find(key, check, text):
    return [f for f in audit.findings(papers.load(key), [check]) if text in f"{f.where} {f.claim}"]


def test_figure_5_of_samhitha():
    accuracy, *scores = find("samhitha", "matrices", "Figure 5")
    assert (accuracy.verdict, accuracy.recomputed) == ("inconsistent", "900/1600 = 56.25%")
    values = {found.recomputed: found.verdict for found in scores}
    assert values["precision 67.57, 30.39"] == "consistent"
    assert values["recall 68.93, 29.08"] == "consistent"
    assert values["f1 68.24, 29.72"] == "consistent"
    assert values["1600"] == "consistent"  # 509 + 1091, truth in the rows
    assert values["752"] == values["148"] == "consistent"
    assert values["361"] == values["339"] == "inconsistent"  # false ones named the wrong way


def test_figure_5_of_samhitha_is_chance():
    (found,) = find("samhitha", "chance", "Figure 5")
    assert found.verdict == "inconsistent"
    assert found.recomputed.startswith("chi-square 0.653, df 1, p 0.419; kappa -0.020")
    assert "largest class 68.19%" in found.evidence and "MCC -0.020" in found.evidence


def test_all_of_table_iv_of_samhitha_is_chance():
    found = find("samhitha", "chance", "Table IV")
    assert verdicts(found) == ["inconsistent"] * 4
    assert all("precision 68.2" in row.evidence for row in found)


def test_networks_that_learned_something_are_not_chance():
    for key in ("patel2025", "sultana"):
        assert {f.verdict for f in audit.findings(papers.load(key), ["chance"])} == {"consistent"}


def test_two_matrices_of_sultana_differ_in_one_count():
    (found,) = find("sultana", "matrices", "matrices of")
    assert found.where == "Figure 4 (A), Figure 4 (C)"
    assert found.recomputed == "15 of 16 counts are the same"
    assert "row 4, column 3: 0 and 2" in found.evidence


def test_sultana_has_one_size_of_test_set_but_not_one_test_set():
    sums, classes = find("sultana", "matrices", "Table 4 one test set")
    assert (sums.verdict, sums.recomputed) == ("consistent", "the same sums: 896")
    assert (classes.verdict, classes.recomputed) == ("inconsistent", "6 different class counts")
    (found,) = find("sultana", "matrices", "Figure 6 dex, ensemble, all-2021, test: 979 images")
    assert (found.verdict, found.recomputed) == ("inconsistent", "896")


def test_chi_square_of_a_table_done_by_hand():
    # expected 12, 8, 18, 12: 4/12 + 4/8 + 4/18 + 4/12
    statistic, p, freedom = chance.independence(np.array([[10, 10], [20, 10]]))
    assert freedom == 1
    assert statistic == pytest.approx(4 / 12 + 4 / 8 + 4 / 18 + 4 / 12)
    assert p == pytest.approx(0.239, abs=0.001)


def test_kappa_and_balanced_accuracy_by_hand():
    kappa, balanced = chance.agreement(np.array([[20, 5], [10, 15]]))
    assert kappa == pytest.approx(0.4)  # (0.7 - 0.5) / (1 - 0.5)
    assert balanced == pytest.approx((0.8 + 0.6) / 2)


def test_shuffled_accuracy_is_that_of_all_permutations():
    labels, predictions = [0, 0, 1, 1, 2, 2], np.array([0, 1, 1, 1, 0, 2])
    counts = np.zeros((3, 3), dtype=np.int64)
    np.add.at(counts, (labels, predictions), 1)
    accuracies = [np.mean(predictions == order) for order in itertools.permutations(labels)]
    mean, deviation = chance.shuffled_accuracy(counts)
    assert mean == pytest.approx(np.mean(accuracies))
    assert deviation == pytest.approx(np.std(accuracies))
