"""Printed matrices against tables and each other, and their sums."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from leukkit import audit, papers
from tests.audit.little import card, images_for_test, matrix, verdicts
from tests.audit.test_attainable import draw_counts, per_class_table


@settings(max_examples=20)
@given(st.data())
def test_a_table_computed_from_a_matrix_fits_it_either_way_round(data):
    counts = draw_counts(data, 2, 40)
    tables = [per_class_table(counts, data.draw(st.integers(0, 2)), data.draw(st.booleans()))]
    printed = counts.T if data.draw(st.booleans()) else counts
    found = audit.findings(card(tables, [matrix(printed)]), ["matrices"])
    assert verdicts(found)[1:] == ["consistent"] * 5  # four quantities and the sum
    assert found[0].recomputed.startswith(f"{np.trace(counts)}/{counts.sum()} = ")


def test_a_stated_orientation_is_not_turned():
    counts = np.array([[50, 10], [0, 40]])
    printed = matrix(counts.T, orientation="rows are actual")
    found = audit.findings(card([per_class_table(counts, 2, True)], [printed]), ["matrices"])
    assert "inconsistent" in verdicts(found)


def test_class_sums_must_fit_the_stated_images_in_some_orientation():
    counts = [[5, 1], [2, 8]]
    for a, is_met in ((6, True), (7, True), (8, False), (3, False)):
        little = card(matrices=[matrix(counts)], claims=images_for_test(a=a, b=16 - a))
        _, total = audit.findings(little, ["matrices"])
        assert total.is_met is is_met
    assert "in neither orientation" in total.evidence


def test_sums_of_sultanas_matrices_beside_the_printed_supports():
    frame = audit.matrices(papers.load("sultana"))
    assert len(frame) == 13
    off = (frame["column"] - frame["support"]).abs().sum(axis=1)
    assert off[off > 0].to_dict() == {
        ("Figure 4 (C)", "xception, full-training"): 2 + 4 + 13 + 5,
        ("Figure 4 (E)", "inceptionv3, full-training"): 1,
    }
    assert (frame["row"] - frame["support"]).abs().sum(axis=1).min() > 0
    assert frame["row"].agg(["min", "max"])["benign"].tolist() == [4, 134]
    assert frame["column"].agg(["min", "max"])["benign"].tolist() == [133, 142]
    assert frame["images", ""].unique().tolist() == [896, 898, 895]


def test_sums_without_printed_supports():
    frame = audit.matrices(card(matrices=[matrix([[5, 1], [2, 8]])]))
    row = frame.loc["Figure 1", "net"]
    assert row["row"].tolist() == [6, 10] and row["column"].tolist() == [7, 9]
    assert row["support"].isna().all() and row["images", ""] == 16
    assert audit.matrices(card()).empty


def test_counts_named_in_the_text_are_found_wherever_the_positive_class_stands():
    printed = matrix([[5, 1], [2, 8]], classes=["no", "ALL"], orientation="rows are actual")
    values = {"true positives": 8, "false positives": 1, "false negatives": 2, "true negatives": 5}
    claims = [
        ("V", {"quantity": quantity, "model": "net"}, "images", str(value))
        for quantity, value in values.items()
    ]
    found = audit.findings(card(matrices=[printed], claims=claims), ["matrices"])
    assert verdicts(found) == ["not checkable"] + ["consistent"] * 4


def test_equal_matrices_are_copies_from_three_classes_on():
    for classes, copies in ((2, 0), (3, 1)):
        counts = np.diag(range(5, 5 + classes))
        little = card(matrices=[matrix(counts, model="a"), matrix(counts, model="b")])
        found = audit.findings(little, ["matrices"])
        size = counts.size
        same = [f for f in found if f.recomputed == f"{size} of {size} counts are the same"]
        assert len(same) == copies
