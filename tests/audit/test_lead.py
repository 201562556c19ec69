"""Leads: values by hand, drawn again in another way, what must hold, and the papers."""

import math

import numpy as np
import pytest
from scipy import stats

from leukkit import audit
from leukkit.audit import lead
from tests.audit.little import card, images, images_for_test, matrix, table


def one_lead(rows, columns=("accuracy",), claims=(), **where):
    rows = [({"model": model}, texts) for model, texts in rows.items()]
    tables = [table([{"quantity": one} for one in columns], rows, part="test", **where)]
    return {found.score: found for found in audit.leads(card(tables, claims=claims))}


def test_three_images_more_and_none_fewer_leave_a_chance_of_one_in_sixteen():
    # 8 of 10 against 5 that are all among them: Beta(4, 1) is below 1/2 with probability 1/2 ** 4
    assert lead.of_accuracy(0.8, 0.5, 10, alike=1) == pytest.approx(1 / 16)
    # 8 against 5 of 10 by chance: both right 4, one alone 4 and 1; Beta(5, 2): 1/2 ** 6 + 6/2 ** 6
    assert lead.of_accuracy(0.8, 0.5, 10, alike=0) == pytest.approx(7 / 64)


@pytest.mark.parametrize("alike", [0, 0.5, 1])
def test_accuracy_is_the_share_of_draws_from_the_published_posterior(alike):
    best, second, size = 0.91, 0.88, 200
    both = best * second + alike * (second - best * second)
    only = np.array([best - both, second - both]) * size
    shares = np.random.default_rng(1).dirichlet([*(only + 1), size - only.sum() + 2], 200_000)
    expected = np.mean(shares[:, 0] <= shares[:, 1])
    assert lead.of_accuracy(best, second, size, alike) == pytest.approx(expected, abs=0.004)


def test_f1_is_that_of_normal_draws_where_there_are_many_images():
    # Independent F1 of large tests: by the delta method, F1 = 2t / (1 + t + f) with P(t), P(f)
    best, second = (np.array([[a, 2000 - a], [b, 2000 - b]]) for a, b in ((1700, 300), (1680, 310)))
    means, variances = [], []
    for (hits, _), (alarms, _) in (best, second):
        t, f = hits / 2000, alarms / 2000
        by_t, by_f = 2 * (1 + f) / (1 + t + f) ** 2, -2 * t / (1 + t + f) ** 2
        means.append(2 * t / (1 + t + f))
        variances.append((by_t**2 * t * (1 - t) + by_f**2 * f * (1 - f)) / 2000)
    expected = stats.norm.sf((means[0] - means[1]) / math.sqrt(sum(variances)))
    assert lead.of_f1(best, second, alike=0) == pytest.approx(expected, abs=0.01)


def test_the_error_of_an_auc_is_that_of_exponential_scores_drawn_again_and_again():
    # Hanley and McNeil's formula is exact for them; the other AUC, 1, has no error
    draw = np.random.default_rng(2).exponential
    above = [(draw(9, (50, 1)) > draw(1, 50)).mean() for _ in range(20_000)]  # AUC 9 / (9 + 1)
    assert np.mean(above) == pytest.approx(0.9, abs=0.001)
    expected = stats.norm.sf(0.1 / np.std(above))
    assert lead.of_auc(1, 0.9, 50, 50, alike=0) == pytest.approx(expected, rel=0.1)


SCORED = {"accuracy": (), "auc": (500, 500), "f1": [np.array([[450, 50], [50, 450]])] * 2}


@pytest.mark.parametrize("score", SCORED)
@pytest.mark.parametrize("alike", [0, 1])
def test_equal_scores_are_one_half(score, alike):
    found = lead.Lead("p", score=score, scores=(0.9, 0.9), images=1000, counts=SCORED[score])
    assert found.probability(1000, alike) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("score", SCORED)
@pytest.mark.parametrize("alike", [0, 1])
def test_more_independent_images_make_a_lead_surer_and_a_false_one_less_likely(score, alike):
    counts = SCORED[score]
    if score == "f1":
        counts = [counts[0], np.array([[440, 60], [60, 440]])]
    ahead = lead.Lead("p", score=score, scores=(0.9, 0.88), images=1000, counts=counts)
    behind = lead.Lead("p", score=score, scores=(0.88, 0.9), images=1000, counts=counts[::-1])
    sizes = (20, 100, 500, 2500)
    falling = [ahead.probability(size, alike) for size in sizes]
    rising = [behind.probability(size, alike) for size in sizes]
    assert falling == sorted(falling, reverse=True)
    assert rising == sorted(rising)
    assert falling[-1] < 0.5 < rising[-1]
    assert falling == pytest.approx([1 - one for one in rising], abs=0.01)


def test_images_of_few_subjects_are_worth_fewer():
    found = lead.Lead("p", images=1000, subjects=50)
    assert found.effective(0) == 1000
    assert found.effective(1) == 50
    assert found.effective(0.25) == pytest.approx(1000 / (1 + 19 * 0.25))


def test_of_a_table_the_best_two_of_the_held_out_images_are_compared():
    rows = {"a": ["90"], "b": ["95"], "c": ["94"]}
    people = ("II", {"quantity": "patients"}, "people", "20")
    found = one_lead(rows, claims=[images(200, part="test"), people])["accuracy"]
    assert (found.claim, found.images, found.subjects) == ("b 95 ahead of c 94", 200, 20)
    expected = lead.of_accuracy(0.95, 0.94, 200, alike=0)
    row = audit.lead_table([found]).iloc[0]
    assert row["independent"] == pytest.approx(expected)
    assert row["conclusion"] == "may be chance"
    assert row["effective, independent"] == pytest.approx(200 / (1 + 9 * audit.ICC[1]))
    assert row["independent, effective"] > expected


def test_training_images_and_single_epochs_lead_nothing():
    tested = {"quantity": "accuracy", "part": "test"}
    columns = [tested, {"quantity": "accuracy", "part": "training"}, tested | {"epoch": 3}]
    rows = [({"model": "a"}, ["90", "99", "98"]), ({"model": "b"}, ["91", "100", "97"])]
    found = audit.leads(card([table(columns, rows)], claims=[images(200, part="test")]))
    assert [one.claim for one in found] == ["b 91 ahead of a 90"]


def test_auc_and_f1_are_computed_from_the_printed_classes():
    rows = {"a": ["90", "80", "0.95"], "b": ["85", "80", "0.93"]}
    columns = ("sensitivity", "specificity", "auc")
    found = one_lead(rows, columns, images_for_test(ALL=100, healthy=60))["auc"]
    assert found.counts == (100, 60)
    rows = {"a": ["90.0", "75.0", "81.8"], "b": ["80.0", "72.7", "76.2"]}
    found = one_lead(rows, ("recall", "precision", "f1"), images_for_test(ALL=100, healthy=60))
    assert [one.tolist() for one in found["f1"].counts] == [
        [[90, 10], [30, 30]],
        [[80, 20], [30, 30]],
    ]


@pytest.mark.parametrize(
    ("columns", "claims", "why"),
    [
        (["accuracy"], [], "how many images were tested is not printed"),
        (["auc"], [images(100, part="test")], "the images of each class are not printed"),
        (["f1"], images_for_test(ALL=100, healthy=60), "no matrix, or too many"),
    ],
)
def test_what_is_not_printed_is_not_known(columns, claims, why):
    (found,) = one_lead({"a": ["95"], "b": ["94"]}, columns, claims).values()
    assert math.isnan(found.probability(100, 0))
    row = audit.lead_table([found]).iloc[0]
    assert row["conclusion"] == "not known"
    assert row["evidence"].startswith(why)


def test_f1_and_recall_alone_do_not_say_the_matrix_whatever_the_supports():
    columns = [{"quantity": one, "label": "ALL"} for one in ("f1", "recall")]
    supports = {"quantity": "support", "unit": "images"}
    columns += [supports | {"label": one} for one in ("ALL", "healthy")]
    rows = [
        ({"model": "a"}, ["95", "94", "100", "60"]),
        ({"model": "b"}, ["94", "94", "100", "60"]),
    ]
    (found,) = audit.leads(card([table(columns, rows, part="test")]))
    assert (found.images, found.counts) == (160, None)
    assert found.how.startswith("no matrix, or too many, of f1 95, recall 94 (ALL) and of f1 94")


def test_a_paper_without_a_second_method_has_one_row_that_says_so():
    (found,) = audit.leads("mishra")
    assert audit.lead_table([found])["conclusion"].tolist() == ["not known"]
    assert found.how == "no two methods are printed on the same images"


def test_what_is_said_to_be_highest_and_is_not_is_behind():
    matrices = [matrix([[50, 0], [20, 30]], model="a"), matrix([[50, 0], [5, 45]], model="b")]
    keys = {"quantity": "accuracy", "model": "a", "rank": "highest"}
    stated = ("Abstract", keys, "percent", "91")
    (found,) = audit.leads(card(matrices=matrices, claims=[stated]))
    assert found.claim == "a 80/100 said to be ahead of b 95/100"
    assert found.probability(100, 0) == pytest.approx(lead.of_accuracy(0.8, 0.95, 100, 0))
    assert audit.lead_table([found])["conclusion"].tolist() == ["behind"]


def test_networks_scored_on_other_images_cannot_be_right_alike():
    (dex,) = [one for one in audit.leads("sultana") if one.where == "Abstract"]
    assert dex.how.endswith("not the same images: [141, 275, 263, 217] and [137, 271, 267, 221]")
    assert math.isnan(dex.probability(896, alike=1))
    assert dex.probability(896, alike=0) > 0.99
