"""Numbers printed twice, and statements that compare numbers."""

import pytest

from leukkit import audit
from leukkit.audit import repeated
from leukkit.audit.printed import NOT_TRAINED
from tests.audit.little import card, number, table


@pytest.mark.parametrize(
    ("one", "other", "is_met"),
    [
        (number("98.75"), number("98.75"), True),
        (number("97.6"), number("97.68"), True),
        (number("97.7"), number("97.68"), True),
        (number("97.19"), number("97.20"), False),
        (number("0.99", unit="fraction"), number("99.96"), True),
        (number("0.95", unit="fraction"), number("99.38"), False),
        (number("224 × 224 x 3", unit="text"), number("224 x 224 × 3", unit="text"), True),
        (number("224 x 244 x 3", unit="text"), number("224 x 224 x 3", unit="text"), False),
        (number("Healthy cells", unit="text"), number("healthy cell", unit="text"), True),
    ],
)
def test_what_two_printed_numbers_have_in_common(one, other, is_met):
    assert repeated.agree(one, other) is repeated.agree(other, one) is is_met


def accuracy(text, where="Abstract", **keys):
    return where, {"quantity": "accuracy", "model": "net", **keys}, "percent", text


def test_the_value_that_is_printed_most_often_is_held_against_the_others():
    claims = [accuracy(text, f"{n}") for n, text in enumerate(("98.7", "98.71", "98.9"))]
    same, other = audit.findings(card(claims=claims), ["repeated"])
    assert (same.verdict, same.recomputed, same.where) == ("consistent", "printed 2 times", "1, 0")
    assert (other.verdict, other.recomputed) == ("inconsistent", "elsewhere 98.71")
    assert other.evidence == "98.71: 1; 98.7: 0; 98.9: 2"


def test_two_values_printed_as_often_as_each_other_are_both_named():
    claims = [accuracy("98.7", "I"), accuracy("98.9", "II")]
    (found,) = audit.findings(card(claims=claims), ["repeated"])
    assert (found.verdict, found.recomputed) == ("inconsistent", "2 different values")
    assert found.claim == "accuracy of net: 98.7 or 98.9" and found.where == "I, II"


def test_values_that_one_number_rounds_and_truncates_to_can_both_be():
    claims = [accuracy("98.7", "I"), accuracy("98.8", "II")]  # 98.76
    (found,) = audit.findings(card(claims=claims), ["repeated"])
    assert found.verdict == "not checkable"
    assert "rounding in one place and truncating in the other" in found.evidence


@pytest.mark.parametrize(("text", "verdict"), [("91.2", "consistent"), ("99.1", "inconsistent")])
def test_a_claim_without_a_part_is_met_by_a_held_out_value(text, verdict):
    columns = [{"part": "training"}, {"part": "test"}]
    tables = [table(columns, [({"model": "net"}, ["99.10", "91.20"])], quantity="accuracy")]
    (found,) = audit.findings(card(tables, claims=[accuracy(text)]), ["repeated"])
    assert found.verdict == verdict
    assert (found.premise == NOT_TRAINED) is (text == "99.1")  # what the network was trained on


@pytest.mark.parametrize(
    ("text", "part", "is_named"),
    [("99.1", {}, True), ("99.1", {"part": "test"}, True), ("98.0", {}, False)],
)
def test_an_unmet_claim_names_the_other_score_of_the_network_that_it_is(text, part, is_named):
    columns = [{"quantity": "accuracy", "part": "test"}, {"quantity": "recall"} | part]
    rows = [({"model": "net"}, ["91.20", "99.1"]), ({"model": "other"}, ["50", "98.0"])]
    (found,) = audit.findings(card([table(columns, rows)], claims=[accuracy(text)]), ["repeated"])
    assert found.verdict == "inconsistent" and found.recomputed == "91.20 (Table 1, test)"
    assert (f"{text} stands in Table 1 as recall" in found.evidence) is is_named


@pytest.mark.parametrize(
    ("epochs", "text", "verdict", "ending"),
    [
        ((1, 2, 3), "90.2", "consistent", "in Table 1 it stands at epoch 2"),
        ((1, 2, 3), "91.2", "inconsistent", "in Table 1 it stands in no row"),
        ((1, 2, 4), "91.2", "not checkable", "no row, but not every epoch is printed"),
    ],
)
def test_an_accuracy_without_an_epoch_can_be_of_any(epochs, text, verdict, ending):
    rows = [({"epoch": epoch}, [t]) for epoch, t in zip(epochs, ("80", "90", "85"), strict=True)]
    by_epoch = table([{"quantity": "accuracy"}], rows, part="test")
    final = table([{"quantity": "accuracy"}], [({}, [text])], "Table 2", part="test")
    (found,) = audit.findings(card([by_epoch, final]), ["comparisons"])
    assert (found.verdict, found.claim) == (verdict, f"test, epoch {epochs[-1]}: 85")
    assert found.evidence.endswith(ending)


@pytest.mark.parametrize(("text", "verdict"), [("one", "consistent"), ("two", "inconsistent")])
def test_metrics_led_are_those_of_the_named_part(text, verdict):
    rows = [({"model": "a"}, ["90", "80", "70"]), ({"model": "b"}, ["80", "90", "80"])]
    columns = [{"quantity": q, "part": "test"} for q in ("accuracy", "recall")]
    tables = [table([*columns, {"quantity": "f1", "part": "training"}], rows)]
    keys = {"quantity": "metrics led", "model": "a", "part": "test"}
    claim = ("V", keys, "text", f"{text} out of two")
    (found,) = audit.findings(card(tables, claims=[claim]), ["comparisons"])
    assert (found.verdict, found.recomputed) == (verdict, "1 of 2")
    assert found.evidence == "ahead in accuracy (a 90); behind in recall (b 90)"
