"""Parts and wholes, shares, folds, k of n, and what counts say about leaks."""

import fractions

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leukkit import audit, papers
from leukkit.audit import counts, denominators, leaks
from leukkit.audit.sources import Paper
from tests.audit.little import card, number, shown, table, verdicts


def images(where, count, **keys):
    return where, {"quantity": "images", **keys}, "images", str(count)


def rows(key, check, text):
    """Return the findings of one check whose claim holds the text."""
    return [found for found in audit.findings(papers.load(key), [check]) if text in found.claim]


@pytest.mark.parametrize(("whole", "verdict"), [(30, "consistent"), (31, "inconsistent")])
def test_a_whole_is_the_sum_of_its_parts(whole, verdict):
    parts = [images("I", 20, part="training"), images("I", 10, part="test")]
    findings = audit.findings(card(claims=[images("I", whole), *parts]), ["counts"])
    assert verdicts(findings) == [verdict]
    assert findings[0].recomputed == "30"


def test_parts_that_are_not_all_printed_are_not_summed():
    claims = [
        images("I", 100, dataset="all-2021"),
        images("I", 30, dataset="all-2021", label="early"),
        images("I", 30, dataset="all-2021", label="pre"),
    ]
    findings = audit.findings(card(claims=claims), ["counts"])
    assert not [found for found in findings if "by label" in found.evidence]


def test_patients_of_patel_add_up_over_two_levels():
    (found,) = rows("patel2025", "counts", "118 patients")
    assert found.verdict == "consistent"
    assert "47 + 26 + 13 + 15 + 17 = 118" in found.evidence


def test_no_data_set_of_15135_images():
    by_parts, by_publisher = rows("samhitha", "counts", "15,135 images")
    assert by_parts.verdict == by_publisher.verdict == "inconsistent"
    assert by_publisher.recomputed == "15114"


def test_the_folds_of_patel_are_sevenths_of_the_test_part():
    healthy, leukemic = rows("patel2025", "counts", "test folds")
    assert healthy.verdict == leukemic.verdict == "inconsistent"
    assert healthy.recomputed == "484.14"
    assert "508 images of test: 72.57" in healthy.evidence
    assert "1091 images of test: 155.86" in leukemic.evidence


def test_shares_of_mishra_are_not_those_of_its_table():
    training, validation = rows("mishra", "counts", "% for")
    assert training.verdict == validation.verdict == "inconsistent"
    assert validation.recomputed == "6.29%"  # 876 of 13932


def test_networks_are_counted():
    assert verdicts(rows("sultana", "counts", "7 networks")) == ["inconsistent"]
    assert verdicts(rows("sultana", "counts", "6 networks")) == ["consistent"] * 4


@given(total=st.integers(1, 3000), share=st.floats(0, 1), digits=st.integers(0, 2))
def test_a_share_of_n_is_found_and_only_that(total, share, digits):
    right = round(share * total)
    assert denominators.is_share_of(number(shown(right, total, digits, True)), total)
    text = shown(round(share * 10**6), 10**6, digits, True)
    expected = any(number(text).is_met(k, total) for k in range(total + 1))
    assert bool(denominators.is_share_of(number(text), total)) == expected


def test_more_than_all_images_is_no_share():
    assert not denominators.is_share_of(number("101"), 979)
    accuracy = table([{"quantity": "accuracy"}], [({"model": "a"}, ["101"])], part="test")
    claims = [images("I", 979, part="test")]
    findings = audit.findings(card([accuracy], claims=claims), ["k of n", "significance"])
    assert verdicts(findings) == ["inconsistent"]


def test_the_validation_accuracy_of_patel_is_no_share_of_1599():
    (found,) = [f for f in rows("patel2025", "k of n", "validation") if "99.82" in f.claim]
    assert found.verdict == "inconsistent"
    assert "1596/1599 = 99.812, 1597/1599 = 99.875" in found.evidence


def test_samhithas_validation_accuracies_are_shares_of_1599():
    found = [f for f in rows("samhitha", "k of n", "validation") if f.where == "Table II"]
    assert [f.recomputed for f in found] == [f"{k} of 1599" for k in (1399, 1383, 1309, 1504)]
    assert set(verdicts(found)) == {"consistent"}


def test_298_images_explain_farags_accuracies_where_300_do_not():
    (found,) = rows("farag2025", "k of n", "accuracies on 300")
    assert found.verdict == "inconsistent"
    assert found.recomputed == "6 of 22 are k/300; 19 of 22 are k/298"


def test_the_n_behind_made_up_accuracies_is_found():
    numbers = [number(shown(k, 211, 2, k % 2 == 0)) for k in range(150, 180, 3)]
    assert denominators.explaining_total(numbers, 200) == (211, 10)


def test_farags_test_parts_hold_copies():
    small, large = rows("farag2025", "leak signs", "held-out")
    assert small.verdict == large.verdict == "inconsistent"
    assert small.recomputed.startswith("0 of 22 accuracies are k/52")
    assert large.recomputed.endswith("17 are k/3200")


def test_mishras_validation_part_is_no_share_of_the_originals():
    (found,) = rows("mishra", "leak signs", "for validation")
    assert found.verdict == "inconsistent"
    assert "benign 204/504 = 40.48%" in found.evidence


def test_samhithas_balanced_training_part_needs_copies():
    (found,) = rows("samhitha", "leak signs", "5090 healthy")
    assert found.verdict == "not checkable"
    assert found.recomputed == "2372 originals left, 2718 (53.4%) copies"


def test_held_out_parts_of_one_share_are_consistent():
    for key in ("patel2025", "samhitha"):
        found = [f for f in leaks.check(Paper(papers.load(key))) if "training" not in f.claim]
        assert verdicts(found) == ["consistent"] * 2


def test_published_counts_are_read_by_phase_and_label():
    assert counts.official_count("images", "cnmc-2019") == 15114
    assert counts.official_count("images", "cnmc-2019", split="training", label="ALL") == 7272
    assert counts.official_count("patients", "all-2021") is None
    share = fractions.Fraction(leaks.originals("all-2021")["benign"], 3256)
    assert share == fractions.Fraction(504, 3256)
