"""F1, the implied share of positives and the implied precision, by hand."""

import fractions

import pytest

from leukkit import papers
from leukkit.audit import identities
from leukkit.audit.sources import Paper


def findings(key, start):
    return [
        finding
        for finding in identities.check(Paper(papers.load(key)))
        if finding.claim.startswith(start)
    ]


def test_the_three_relations_that_patels_row_breaks():
    f1, share, precision = findings("patel2025", "vgg19")
    assert {f1.verdict, share.verdict, precision.verdict} == {"inconsistent"}
    assert f1.recomputed == "99.32"  # 2 x 99.68 x 98.97 / (99.68 + 98.97)
    assert "0.333" in share.recomputed and "0.682" in share.recomputed
    assert precision.recomputed == "precision 99.45"  # 6 false positives of 508


@pytest.mark.parametrize("model", ["resnet18", "shufflenet", "googlenet"])
def test_the_compared_rows_break_none(model):
    assert {finding.verdict for finding in findings("patel2025", model)} == {"consistent"}


def test_an_f1_of_50_cannot_come_from_100_and_28():
    (finding,) = findings("sultana", "vgg19, frozen-features")
    assert finding.verdict == "inconsistent"
    assert "2 x 100 x 28 / (100 + 28) = 43.75" in finding.evidence


def test_the_implied_share_is_that_of_the_images():
    share = fractions.Fraction(3, 10)
    rates = fractions.Fraction(9, 10), fractions.Fraction(6, 10)
    accuracy = share * rates[0] + (1 - share) * rates[1]
    low, high = identities.implied_share(*((rate, rate) for rate in (accuracy, *rates)))
    assert low == high == share


def test_equal_rates_imply_no_share():
    window = fractions.Fraction(98, 100), fractions.Fraction(99, 100)
    assert identities.implied_share(window, window, window) is None
