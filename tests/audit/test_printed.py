"""Which values a printed number stands for: those that round or truncate to it."""

import dataclasses
import fractions

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leukkit.audit.printed import Finding, listed
from tests.audit.little import number, shown


@pytest.mark.parametrize(
    ("text", "unit", "right", "total", "is_met"),
    [
        ("98.75", "percent", 1579, 1599, True),  # 98.7492, rounds
        ("98.74", "percent", 1579, 1599, True),  # and truncates
        ("98.80", "percent", 1078, 1091, True),  # 98.808, truncates
        ("98.82", "percent", 1078, 1091, False),
        ("99.68", "percent", 1080, 1084, False),  # 99.63
        ("0.9966", "fraction", 873, 876, True),
        ("0.9967", "fraction", 873, 876, False),
        ("12.5", "percent", 1, 8, True),
        ("12", "percent", 1, 8, True),
        ("13", "percent", 1, 8, True),  # half way
        ("100", "percent", 5, 5, True),
        ("66", "millions", 66_658_687, 1, True),
        ("67", "millions", 66_658_687, 1, True),
        ("65", "millions", 66_658_687, 1, False),
        ("7,272", "images", 7272, 1, True),
        ("0", "percent", 0, 0, False),  # where nothing is divided by
    ],
)
def test_a_value_is_met_if_it_rounds_or_truncates_to_the_printed_one(
    text, unit, right, total, is_met
):
    assert bool(number(text, unit=unit).is_met(right, total)) is is_met


def test_a_number_that_must_be_rounded_is_not_met_by_what_truncates_to_it():
    rounded = dataclasses.replace(number("12"), is_rounded=True)  # 11.5 up to 12.5, not included
    assert [bool(rounded.is_met(right, 1000)) for right in (114, 115, 124, 125)] == [0, 1, 1, 0]


@given(
    total=st.integers(1, 20_000),
    share=st.floats(0, 1),
    digits=st.integers(0, 4),
    is_rounded=st.booleans(),
)
def test_what_was_printed_is_met_and_two_units_beside_it_is_not(total, share, digits, is_rounded):
    right = round(share * total)
    text = shown(right, total, digits, is_rounded)
    assert number(text).is_met(right, total)
    unit = fractions.Fraction(1, 10**digits)
    for step in (-2, 2):
        moved = fractions.Fraction(text) + step * unit
        if moved >= 0:
            beside = number(shown(moved.numerator, moved.denominator, digits, True, 1))
            assert not beside.is_met(right, total)


def test_arrays_are_compared_element_by_element():
    met = number("50.0").is_met(np.array([1, 2, 3]), np.array([2, 4, 4]))
    assert met.tolist() == [True, True, False]


def test_the_value_and_its_digits():
    assert (number("98.70").digits, number("1e-4").digits, number("7,272").digits) == (2, 4, 0)
    assert number("7,272", unit="images").count == 7272
    assert number("1e-4", unit="value").exact == fractions.Fraction(1, 10_000)
    assert (number("97.20").padded().text, number("100").padded().text) == ("97.2", "100")


def test_numbers_are_listed_by_quantity_with_their_classes():
    recall = [number("29", "recall", label="benign"), number("98", "recall", label="early")]
    f1 = [number("40", "f1", label="benign"), number("97", "f1", label="early")]
    assert listed([number("98.75"), *recall]) == "accuracy 98.75, recall 29/98 (benign/early)"
    assert listed([*recall, *f1]) == "recall 29/98, f1 40/97 (benign/early)"


@pytest.mark.parametrize(
    ("is_met", "verdict"), [(True, "consistent"), (False, "inconsistent"), (None, "not checkable")]
)
def test_a_finding_names_its_place_once_and_its_verdict(is_met, verdict):
    found = Finding([number("1"), number("2")], "claim", "3", is_met, "evidence")
    assert (found.where, found.verdict) == ("Table 1", verdict)
