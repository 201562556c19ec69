"""Parts and wholes, shares, folds, k of n, and what counts say about leaks."""

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leukkit import audit, papers
from leukkit.audit import counts, denominators
from tests.audit.little import card, find, images, number, shown, table, verdicts


@pytest.mark.parametrize(("whole", "verdict"), [(30, "consistent"), (31, "inconsistent")])
def test_a_whole_is_the_sum_of_its_parts(whole, verdict):
    claims = [images(whole), images(20, part="training"), images(10, part="test")]
    (found,) = audit.findings(card(claims=claims), ["counts"])
    assert (found.verdict, found.recomputed) == (verdict, "30")


def test_parts_that_are_not_all_printed_are_not_summed():
    claims = [images(100, dataset="all-2021")]
    claims += [images(30, dataset="all-2021", label=label) for label in ("early", "pre")]
    found = audit.findings(card(claims=claims), ["counts"])
    assert not [one for one in found if "by label" in one.evidence]


def test_published_counts_are_read_by_phase_and_label():
    assert counts.official_count("images", "cnmc-2019") == 15114
    assert counts.official_count("images", "cnmc-2019", split="training", label="ALL") == 7272
    assert counts.official_count("patients", "all-2021") is None
    assert counts.originals("cnmc-2019") == {"ALL": 7272, "healthy": 3389}
    assert counts.originals("all-2021")["benign"] == 504


@given(total=st.integers(1, 3000), share=st.floats(0, 1), digits=st.integers(0, 2))
def test_a_share_of_n_is_found_and_only_that(total, share, digits):
    right = round(share * total)
    assert denominators.is_share_of(number(shown(right, total, digits, True)), total)
    text = shown(round(share * 10**6), 10**6, digits, True)
    expected = number(text).is_met(np.arange(total + 1), total).any()
    assert bool(denominators.is_share_of(number(text), total)) == expected


def test_the_share_of_values_that_are_a_k_of_n_by_chance():
    totals = np.array([10, 100])  # 50 is printed for 49.5% up to 51%
    assert denominators.by_chance(number("50"), totals).tolist() == pytest.approx([0.15, 1])
    assert denominators.by_chance(number("100"), 10) == pytest.approx(0.15)


def test_more_than_all_images_is_no_share():
    assert not denominators.is_share_of(number("101"), 979)
    assert denominators.by_chance(number("101"), 979) == 0
    accuracy = table([{"quantity": "accuracy"}], [({"model": "a"}, ["101"])], part="test")
    little = card([accuracy], claims=[images(979, part="test")])
    assert verdicts(audit.findings(little, ["k of n", "significance"])) == ["inconsistent"]


def test_298_images_explain_farags_accuracies_where_300_do_not():
    (found,) = find("farag2025", "k of n", "accuracies on 300")
    assert found.verdict == "inconsistent"
    assert found.recomputed == "6 of 22 are k/300; 19 of 22 are k/298"
    assert "up to 600 was tried; by chance 3.8 of 22 values" in found.evidence
    frame = audit.explaining_totals(papers.load("farag2025"), 300)
    assert frame.loc[[298, 300], "explained"].tolist() == [19, 6]
    assert frame.attrs["of"] == 22 and list(frame.index[[0, -1]]) == [2, 600]
    with pytest.raises(ValueError, match="farag2025: no accuracies of 299 images; there are of"):
        audit.explaining_totals(papers.load("farag2025"), 299)


def test_the_n_behind_made_up_accuracies_is_found():
    numbers = [number(shown(k, 211, 2, k % 2 == 0)) for k in range(150, 180, 3)]
    assert denominators.explaining_total(numbers, 200) == (211, 10)


@pytest.mark.parametrize(
    ("held_out", "training", "verdict"),
    [  # of 130 + 130 originals
        ((30, 10), (520, 520), "inconsistent"),  # 4 of each of all; 5.2 and 4.3 of those left
        ((30, 10), (521, 520), "inconsistent"),  # 4.005 of each: 520.65, rounded and truncated
        ((30, 10), (522, 520), "not checkable"),  # no one multiple of either
        ((30, 10), (500, 600), "consistent"),  # 5 of each of those left
        ((26, 26), (520, 520), "not checkable"),  # 4 of all, 5 of those left
    ],
)
def test_a_multiple_of_all_originals_in_every_class_says_what_was_copied(
    held_out, training, verdict
):
    claims = []
    for part, sizes in (("training", training), ("test", held_out)):
        for label, count in zip(("ALL", "healthy"), sizes, strict=True):
            claims.append(images(count, dataset="all-idb2", part=part, label=label))
    *_, found = audit.findings(card(claims=claims), ["leak signs"])
    assert found.claim.startswith(f"{training[0]} + {training[1]} images for training")
    assert found.verdict == verdict


def test_originals_that_are_not_copied_are_no_sign():
    claims = []
    for part, count in (("training", 104), ("test", 26)):
        for label in ("ALL", "healthy"):
            claims.append(images(count, dataset="all-idb2", part=part, label=label))
    assert not [
        f for f in audit.findings(card(claims=claims), ["leak signs"]) if "for tr" in f.claim
    ]


def test_the_ratios_of_a_count_are_those_that_round_or_truncate_to_it():
    assert counts.one_ratio({"a": 3}, {"a": 2}) == (Fraction(5, 4), 2)  # 2.5 to 4, without 4
    both = counts.one_ratio({"a": 1, "b": 10}, {"a": 2, "b": 20})  # 0.5 to 2 of 2, 9.5 to 11 of 20
    assert both == (Fraction(19, 40), Fraction(11, 20))
    assert counts.one_ratio({"a": 1, "b": 10}, {"a": 2, "b": 9}) is None  # below 1, and above


@pytest.mark.parametrize(("held_out", "verdict"), [(52, "consistent"), (40, "inconsistent")])
def test_a_share_can_be_one_of_the_originals(held_out, verdict):
    keys = {"dataset": "all-idb2"}
    claims = [("II", {"quantity": "share", "part": "test", **keys}, "percent", "20")]
    claims.append(("II", {"quantity": "share", "part": "training", **keys}, "percent", "80"))
    claims += [images(held_out, part="test", **keys), images(1000, part="training", **keys)]
    found = [f for f in audit.findings(card(claims=claims), ["counts"]) if "% for" in f.claim]
    assert verdicts(found) == [verdict] * 2  # 52 of 260 are 20%, of 1,052 they are 5%


@pytest.mark.parametrize(
    ("count", "verdict"),
    [("15,114", "consistent"), ("15,135", "consistent"), ("15,134", "inconsistent")],
)
def test_a_data_set_has_the_count_of_its_publisher_or_of_another_distribution(count, verdict):
    (found,) = audit.findings(card(claims=[images(count, dataset="cnmc-2019")]), ["counts"])
    assert found.verdict == verdict


FOLDS = ("II", {"quantity": "folds"}, "folds", "5")


@pytest.mark.parametrize(
    ("text", "claims", "verdict"),
    [
        ("33.33", (), "consistent"),
        ("33.30", (), "not checkable"),  # 33.3 is 1 of 3, too
        ("33.40", (), "inconsistent"),
        ("33.40", (FOLDS,), "not checkable"),  # a mean of folds, say
    ],
)
def test_what_a_last_zero_or_folds_may_explain_is_not_checkable(text, claims, verdict):
    accuracy = table([{"quantity": "accuracy"}], [({"model": "a"}, [text])], part="test")
    little = card([accuracy], claims=[images(3, part="test"), *claims])
    assert verdicts(audit.findings(little, ["k of n"])) == [verdict]


def test_claims_that_another_number_of_images_settles_are_one_conclusion():
    # five are a k/298 and no k/300, 90.00 is a k/300, 91.05 neither
    texts = [shown(k, 298, 2, True) for k in (271, 275, 283, 289, 293)] + ["90.00", "91.05"]
    rows = [({"model": str(n)}, [text]) for n, text in enumerate(texts)]
    accuracies = table([{"quantity": "accuracy"}], rows, part="test")
    found = audit.findings(card([accuracies], claims=[images(300, part="test")]), ["k of n"])
    rows = [[getattr(one, column) for column in audit.COLUMNS[1:]] for one in found]
    frame = pd.DataFrame(rows, columns=audit.COLUMNS[1:]).assign(paper="little")
    concluded = audit.conclusions(frame).set_index("premise")
    assert concluded["claims"].to_dict() == {"II: 300 images in test": 6, "Table 1: 6": 1}
    assert concluded.loc["Table 1: 6", "recomputed"] == "273 of 300"


@pytest.mark.parametrize(("exclusive", "verdict"), [(3, "consistent"), (4, "inconsistent")])
def test_four_accuracies_more_are_evident(exclusive, verdict):
    # 26 of 52, 150 of 300 and 149 of 298 are one half; the others are of 298 images alone
    texts = ["50.00", "100.00", *(shown(k, 298, 2, True) for k in (271, 275, 283, 289)[:exclusive])]
    rows = [({"model": str(n)}, [text]) for n, text in enumerate(texts)]
    keys = {"dataset": "all-idb2", "augmentation": True}
    accuracies = table([{"quantity": "accuracy"}], rows, part="test", **keys)
    claims = [("IV", {"quantity": "share", "part": "test"}, "percent", "20")]
    for label in ("ALL", "healthy"):
        claims.append(images(130, **keys | {"augmentation": False}, label=label))
        claims.append(images(750, **keys, label=label))
    *_, of_300, leak = audit.findings(card([accuracies], claims=claims), ["k of n", "leak signs"])
    of, total = len(texts), 300 if verdict == "consistent" else 298
    assert (of_300.verdict, leak.verdict) == (verdict, verdict)
    assert of_300.recomputed == f"2 of {of} are k/300; {of} of {of} are k/298"
    explained = of if total == 298 else 2
    assert leak.recomputed == f"2 of {of} accuracies are k/52, {explained} are k/{total}"
