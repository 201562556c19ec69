"""Which values a printed number stands for: those that round or truncate to it."""

import fractions

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    ],
)
def test_a_value_is_met_if_it_rounds_or_truncates_to_the_printed_one(
    text, unit, right, total, is_met
):
    assert bool(number(text, unit=unit).is_met(right, total)) is is_met
    assert number(text, unit=unit).is_met_by(fractions.Fraction(right, total)) is is_met


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
            assert not number(shown(moved.numerator, moved.denominator, digits, True, 1)).is_met(
                right, total
            )


def test_arrays_are_compared_element_by_element():
    met = number("50.0").is_met(np.array([1, 2, 3]), np.array([2, 4, 4]))
    assert met.tolist() == [True, True, False]


def test_nothing_is_met_where_nothing_is_divided_by():
    assert not number("0").is_met(0, 0)


def test_zeros_at_the_end_can_be_taken_off():
    assert number("97.20").padded().text == "97.2"
    assert number("100").padded().text == "100"
