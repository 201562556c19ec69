"""Parts and wholes, shares, folds, k of n, and what counts say about leaks."""

import itertools

import numpy as np
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


@pytest.mark.parametrize(("originals", "total", "scored"), [(2, 4, 2), (2, 5, 2), (3, 7, 3)])
def test_the_expected_leak_is_that_of_all_draws(originals, total, scored):
    families = [number % originals for number in range(total)]
    leaked = drawn = 0
    for draw in itertools.combinations(range(total), scored):
        left = {families[number] for number in range(total) if number not in draw}
        leaked += sum(families[number] in left for number in draw)
        drawn += scored
    assert counts.expected_leak(originals, total, scored) == pytest.approx(leaked / drawn)


def test_mishras_counts_leave_almost_no_scored_image_without_a_relative():
    leak = audit.leak_by_counts(papers.load("mishra"), "validation")
    assert leak.iloc[-1, :3].tolist() == [3256, 13932, 876]
    assert leak.loc["all", "images per original"] == pytest.approx(13932 / 3256)
    assert leak.loc["all", "scored share"] == pytest.approx(876 / 13932)
    expected = counts.expected_leak(504, 2225, 204)
    assert leak.loc["benign", "expected leak"] == pytest.approx(expected)
    weighted = (leak["expected leak"] * leak["scored"]).iloc[:-1].sum() / 876
    assert leak.loc["all", "expected leak"] == pytest.approx(weighted)
    assert (leak["expected leak"] > 0.999).all()
    with pytest.raises(ValueError, match=r"mishra prints no images per class.*'test'"):
        audit.leak_by_counts(papers.load("mishra"), "test")


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
