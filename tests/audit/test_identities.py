"""F1, the implied share of positives, the implied precision and the sign of a loss, by hand."""

import fractions

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leukkit import audit, papers
from leukkit.audit import identities
from tests.audit.little import card, images_for_test, table, verdicts


def test_the_implied_share_is_that_of_the_images():
    share = fractions.Fraction(3, 10)
    rates = fractions.Fraction(9, 10), fractions.Fraction(6, 10)
    accuracy = share * rates[0] + (1 - share) * rates[1]
    low, high = identities.implied_share(*((rate, rate) for rate in (accuracy, *rates)))
    assert low == high == share


def test_equal_rates_imply_no_share():
    window = fractions.Fraction(98, 100), fractions.Fraction(99, 100)
    assert identities.implied_share(window, window, window) is None


def test_scores_that_nothing_is_divided_for():
    assert identities.precision(1, 1, 10, 10) == 1
    assert identities.precision(0, 1, 10, 10) == identities.f1(0, 0) == 0


def test_what_the_rates_of_patels_table_imply():
    rates = audit.rates(papers.load("patel2025"), "Table 2")
    difference = rates.xs("difference", axis=1, level=1)
    assert list(rates.index) == ["resnet18", "shufflenet", "googlenet", "vgg19"]
    assert (difference.drop(index="vgg19").abs() <= 0.01).all(axis=None)
    assert difference.loc["vgg19", "accuracy"] == pytest.approx(-0.05, abs=0.01)
    assert difference.loc["vgg19", "precision"] == pytest.approx(0.23, abs=0.01)
    assert rates.loc["vgg19", ("f1", "printed")] == pytest.approx(99.23)


def test_rates_by_hand():
    columns = [{"quantity": "sensitivity"}, {"quantity": "specificity"}, {"quantity": "f1"}]
    tables = [table(columns, [({"model": "net"}, ["90", "60", "80"])], part="test")]
    little = card(tables, claims=images_for_test(ALL=30, healthy=10))
    row = audit.rates(little, "Table 1").loc["net"]
    assert row["accuracy", "implied"] == pytest.approx(82.5)  # 27 + 6 of 40
    assert row["precision", "implied"] == pytest.approx(100 * 27 / 31)
    assert row["f1", "difference"] == pytest.approx(80 - 100 * 54 / 61)
    assert row[[("accuracy", "printed"), ("precision", "difference")]].isna().all()
    assert audit.rates(little, "Table 2").empty


@pytest.mark.parametrize(("printed", "verdict"), [("87.1", "consistent"), ("99.7", "inconsistent")])
def test_precision_follows_from_the_rates_and_the_class_sizes(printed, verdict):
    columns = [{"quantity": name} for name in ("sensitivity", "specificity", "precision")]
    tables = [table(columns, [({"model": "net"}, ["90", "60", printed])], part="test")]
    little = card(tables, claims=images_for_test(ALL=30, healthy=10))
    found = audit.findings(little, ["identities"])
    finding = next(f for f in found if "precision" in f.recomputed)
    assert finding.verdict == verdict
    assert "x 10 = 4.00, true positives 90% x 30 = 27.0" in finding.evidence


@pytest.mark.parametrize(
    ("formula", "verdict"),
    [
        ("L = Σ_{i=1..n} y_i log(ŷ_i)", "inconsistent"),
        ("L = -Σ_{i=1..n} y_i log(ŷ_i)", "consistent"),
        ("L = − 1/n Σ y log(p)", "consistent"),
    ],
)
def test_a_loss_needs_its_sign(formula, verdict):
    claims = [("Eq. 8", {"quantity": "loss formula"}, "text", formula)]
    claims.append(("V", {"quantity": "loss"}, "value", "0.0163"))
    assert verdicts(audit.findings(card(claims=claims), ["formulas"])) == [verdict]


@given(data=st.data(), folds=st.integers(2, 5))
def test_no_mean_f1_of_folds_lies_outside_the_bounds(data, folds):
    shares = st.fractions(0, 1, max_denominator=40)
    precisions, recalls = (
        data.draw(st.lists(shares, min_size=folds, max_size=folds)) for _ in "pr"
    )
    means = [sum(scores) / folds for scores in (precisions, recalls)]
    mean = sum(map(identities.f1, precisions, recalls)) / folds
    assert identities.lowest_mean_f1(*means, folds) <= mean <= identities.f1(*means)


def test_one_fold_that_lacks_everything_has_nearly_the_lowest_mean_f1():
    # seven folds, one of them with a recall of 0.93: 2 x 0.93 / 1.93 = 0.9637, the mean 0.9948
    lowest = identities.lowest_mean_f1(fractions.Fraction(1), fractions.Fraction(99, 100), 7)
    assert float(lowest) == pytest.approx(0.99482, abs=1e-5)
