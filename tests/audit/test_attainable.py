"""Rows of scores: attainable if computed from a matrix, and the papers' rows worked by hand."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leukkit import audit, papers
from tests.audit.little import POSITIVE, card, images, images_for_test, shown, table, verdicts
from tests.audit.test_search import FIVE, five_scores


@settings(max_examples=30)
@given(st.data())
def test_a_row_computed_from_a_matrix_is_always_attainable(data):
    positives, negatives = (data.draw(st.integers(1, 400)) for _ in range(2))
    hits, rejects = data.draw(st.integers(1, positives)), data.draw(st.integers(0, negatives))
    digits, is_rounded = data.draw(st.integers(0, 2)), data.draw(st.booleans())
    row = five_scores(positives, negatives, hits, rejects, digits, is_rounded)
    columns = [{"quantity": quantity} for quantity in FIVE]
    tables = [table(columns, [({}, [one.text for one in row])], part="test")]
    little = card(tables, claims=images_for_test(ALL=positives, healthy=negatives))
    found = audit.findings(little, ["attainable", "identities"])
    assert "inconsistent" not in verdicts(found)
    assert verdicts(found)[0] == "consistent"
    ((matrices),) = audit.possible_matrices(little, "Table 1").values()
    assert [[hits, positives - hits], [negatives - rejects, rejects]] in matrices.tolist()


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


def draw_counts(data, smallest, most):
    """Draw a matrix with at least one image on each field of its diagonal."""
    side = data.draw(st.integers(smallest, 4))
    rows = [[data.draw(st.integers(0, most)) for _ in range(side)] for _ in range(side)]
    return np.array(rows) + np.eye(side, dtype=int)


@settings(max_examples=20)
@given(st.data())
def test_rows_per_class_computed_from_a_matrix_are_always_attainable(data):
    counts = draw_counts(data, 3, 15)
    tables = [per_class_table(counts, data.draw(st.integers(0, 2)), data.draw(st.booleans()))]
    found = audit.findings(card(tables), ["attainable", "identities"])
    assert set(verdicts(found)) == {"consistent"}
    errors = int(counts.sum() - np.trace(counts))
    low, high = found[0].recomputed.split(" errors")[0].split(" to ")
    assert int(low) <= errors <= int(high)


def test_possible_matrices_of_three_classes_are_those_that_trying_all_finds():
    counts = np.array([[4, 1, 0], [0, 3, 1], [0, 0, 5]])
    little = card([per_class_table(counts, 0, True)])
    (found,) = audit.possible_matrices(little, "Table 1").values()
    expected = []
    for a, b, c, d, e, f in itertools.product(range(3), repeat=6):
        one = np.array([[5 - a - b, a, b], [c, 4 - c - d, d], [e, f, 5 - e - f]])
        if per_class_table(one, 0, True) == per_class_table(counts, 0, True):
            expected.append(one.tolist())
    (rounded,) = audit.possible_matrices(little, "Table 1", is_rounded=True).values()
    assert sorted(rounded.tolist()) == sorted(expected)
    assert all(one in found.tolist() for one in expected)


def test_the_matrix_of_mishra_is_one_of_four():
    (matrices,) = audit.possible_matrices(papers.load("mishra"), "Table 4", True).values()
    assert matrices.shape == (4, 4, 4)
    assert (matrices.sum(axis=2) == [204, 216, 240, 216]).all()
    assert (np.trace(matrices, axis1=1, axis2=2) == 873).all()
    assert (matrices[:, 2, 3] == 2).all()  # two pre images taken for pro


def test_too_many_matrices_are_refused():
    with pytest.raises(ValueError, match=r"dex, ensemble.*too many matrices have \d+ errors"):
        audit.possible_matrices(papers.load("sultana"), "Table 7")


@pytest.mark.parametrize(
    ("text", "verdict"), [("93.1", "consistent"), ("89.0", "inconsistent")]
)  # 27 of 29 are right
def test_an_accuracy_in_another_table_must_fit_the_values_per_class(text, verdict):
    counts = np.array([[8, 1, 0], [0, 9, 0], [1, 0, 10]])
    keys = {"part": "test", "model": "net"}
    accuracy = table([{"quantity": "accuracy"}], [(keys, [text])], "Table 2")
    little = card([per_class_table(counts, 2, True), accuracy])
    assert verdicts(audit.findings(little, ["attainable"])) == ["consistent", verdict]


def test_values_that_each_are_attainable_need_not_be_so_together():
    columns = [{"quantity": "recall"}, {"quantity": "precision"}]
    columns.append({"quantity": "support", "unit": "images"})
    rows = [({"label": "a"}, ["90", "100", "10"])]  # one image is missed, and nothing taken
    rows += [({"label": label}, ["100", "100", "10"]) for label in "bc"]
    (found,) = audit.findings(card([table(columns, rows, part="test")]), ["attainable"])
    assert found.verdict == "inconsistent" and "cannot be made equal" in found.evidence


def test_without_test_counts_a_row_is_not_checkable():
    columns = [{"quantity": "sensitivity"}, {"quantity": "specificity"}]
    tables = [table(columns, [({}, ["90", "80"])], part="test")]
    assert verdicts(audit.findings(card(tables), ["attainable"])) == ["not checkable"]


def test_other_class_sizes_and_what_to_leave_out_are_named():
    columns = [{"quantity": quantity} for quantity in ("sensitivity", "specificity", "precision")]
    # 9 of 10, 8 of 10: precision 9/11 = 81.8; 50.0 is that of other class sizes
    tables = [table(columns, [({}, ["90.0", "80.0", "50.0"])], part="test")]
    little = card(tables, claims=images_for_test(ALL=10, healthy=10))
    (found,) = audit.findings(little, ["attainable"])
    assert found.recomputed == "no integer matrix"
    assert "exchanged (10 + 10) none" in found.evidence
    assert "left out: sensitivity 90.0 or specificity 80.0 or precision 50.0" in found.evidence
    assert "on 20 images that would do: none" in found.evidence
    assert "(99.10 as 99.1) none" in found.evidence


@pytest.mark.parametrize(
    ("specificity", "result", "verdict"),
    [("71.4", "TP2 FN1 TN5 FP2", "consistent"), ("71.5", "no integer matrix", "inconsistent")],
)
def test_where_only_a_share_is_stated_any_mix_of_the_classes_will_do(specificity, result, verdict):
    # 2 of 3 and 5 of 7 are right, 7 of 10 in all, though the 50 images are half ALL
    columns = [{"quantity": one} for one in ("accuracy", "sensitivity", "specificity")]
    tables = [table(columns, [({}, ["70.0", "66.7", specificity])], part="test")]
    claims = [("II", {"quantity": "share", "part": "test"}, "percent", "20")]
    claims += [images(25, label=label) for label in ("ALL", "healthy")]
    (found,) = audit.findings(card(tables, claims=claims), ["attainable"])
    assert (found.recomputed, found.verdict) == (result, verdict)
    assert "no class sizes are stated" in found.evidence


@pytest.mark.parametrize(
    ("part", "verdict"), [("test", "inconsistent"), ("validation", "not checkable")]
)
def test_an_accuracy_of_another_part_contradicts_no_row_that_names_none(part, verdict):
    columns = [{"quantity": quantity} for quantity in ("sensitivity", "specificity")]
    row = table(columns, [({"model": "net"}, ["90.0", "80.0"])])  # 17 of 20 right
    keys = {"model": "net", "part": part}
    accuracy = table([{"quantity": "accuracy"}], [(keys, ["95.0"])], "Table 2")
    scored = POSITIVE | {"scored_part": {"value": "test", "reason": "test"}}
    of_20 = images_for_test(ALL=10, healthy=10)
    little = card([row, accuracy], claims=of_20, choices=scored)
    found = audit.findings(little, ["attainable"])[1]
    assert (found.verdict, found.recomputed) == (verdict, "85.00 to 85.00")
    assert found.premise.startswith("The accuracies of Table 2 are of predictions that")


@pytest.mark.parametrize(("positives", "more"), [(400, ""), (467, "; and 1 more")])
def test_six_matrices_are_listed(positives, more):
    columns = [{"quantity": "sensitivity"}, {"quantity": "specificity"}]
    tables = [table(columns, [({}, ["90", "80"])], part="test")]  # from 89.5% up to 91%
    (found,) = audit.findings(
        card(tables, claims=images_for_test(ALL=positives, healthy=10)), ["attainable"]
    )
    assert found.recomputed.count("TP") == 6 and found.recomputed.endswith("FP2" + more)


@pytest.mark.parametrize(
    ("precision", "verdict"), [("90.9", "not checkable"), ("96.0", "inconsistent")]
)
def test_a_row_of_no_matrix_can_be_a_mean_of_folds(precision, verdict):
    # 9 of 10 and 8 of 10, then 9 of 10 and 10 of 10: precision (9/11 + 1) / 2; pooled 18/20
    columns = [{"quantity": quantity} for quantity in ("sensitivity", "specificity", "precision")]
    tables = [table(columns, [({}, ["90.0", "90.0", precision])], part="test")]
    claims = [*images_for_test(ALL=20, healthy=20), ("II", {"quantity": "folds"}, "folds", "2")]
    row, mean = audit.findings(card(tables, claims=claims), ["attainable"])
    assert (row.verdict, mean.verdict) == ("inconsistent", verdict)
    assert mean.recomputed.startswith("20 + 20 images in 2 folds: accuracy 89.95 to 90.10, prec")
    assert mean.recomputed.endswith("to 91.67; some folds give the rates")  # (1 + 10/12) / 2


def test_implied_accuracies_of_matrices_beside_the_printed_ones():
    frame = audit.implied_accuracies(papers.load("sultana"))
    dex = frame.loc["dex, ensemble"]
    assert dex["low"] == dex["high"] == pytest.approx(100 * 863 / 896)
    assert dex["text"] == 99 and dex[["training", "test"]].isna().all()
    vgg = frame.loc["vgg19, full-training", ["training", "test", "text"]]
    assert vgg.tolist() == [99, 89, 99]


def test_implied_accuracies_of_scores_per_class_beside_the_printed_ones():
    frame = audit.implied_accuracies(papers.load("samhitha"), "Table IV")
    resnet = frame.loc["resnet50"]
    assert resnet[["low", "high"]].tolist() == [100 * 949 / 1600, 100 * 963 / 1600]
    assert resnet[["training", "validation"]].tolist() == [84.50, 87.49]
    sultana = audit.implied_accuracies(papers.load("sultana"), "Table 7")
    assert sultana.loc["dex, ensemble", ["low", "high"]].round(2).tolist() == [95.65, 96.32]
