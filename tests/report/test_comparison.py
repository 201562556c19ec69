"""Printed cells beside made-up predictions, whose scores are counted by hand."""

import numpy as np
import pandas as pd
import pytest

from leukkit import metrics, papers, report, results, splits
from leukkit.report import overview
from tests.report.small_results import (
    FIRST,
    FOUR,
    LEAKS,
    SECOND,
    history,
    planned,
    predictions,
    write,
)

PROPOSED = "efficientnetb0-attention"


def cell(frame, **keys):
    """Return the one row that has these keys; None stands for a missing value."""
    for name, value in keys.items():
        same = frame[name].isna() if value is None else (frame[name] == value).fillna(False)
        frame = frame[same.astype(bool)]
    assert len(frame) == 1
    return frame.iloc[0]


def measured(*folders):
    return report.concat(report.score(folder.parent) for folder in folders)


@pytest.fixture(scope="module")
def patel(tmp_path_factory):
    """VGG-19 in two folds, by the 70/15/15 split and leak-free; GoogLeNet by the split alone."""
    base = tmp_path_factory.mktemp("results")
    vgg = planned("patel2025", "published", "vgg19")
    split = planned("patel2025", "published-split", "vgg19")
    other = planned("patel2025", "published-split", "googlenet")
    write(base, vgg, FIRST, 0, 2, tables={"training_predictions": SECOND})
    write(base, vgg, SECOND, 1, 2, tables={"training_predictions": FIRST})
    write(base, split, SECOND)
    write(base, other, FIRST, weights_used="random, seed 0")
    write(base, planned("patel2025", "leak-free", "vgg19"), FIRST)
    own = planned("patel2025", "leak-free", "vgg19", name="vgg19~0123abcd")
    write(base, own, SECOND)
    found = results.find(base, "patel2025", "sample")
    return report.concat(report.score(folder) for folder in found["folder"])


@pytest.fixture
def published(patel):
    return patel[(patel["part"] == "test") & (patel["split"] == "published")]


def test_pooled_values_and_means_over_folds_are_those_counted_by_hand(published):
    pooled = {
        "accuracy": 8 / 10,
        "sensitivity": 3 / 4,
        "recall": 3 / 4,
        "specificity": 5 / 6,
        "precision": 3 / 4,
        "loss": -(8 * np.log(0.9) + 2 * np.log(0.1)) / 10,
        "support": 10,
    }
    for quantity, value in pooled.items():
        assert cell(published, quantity=quantity, label=None)["value"] == pytest.approx(value)
    accuracy = cell(published, quantity="accuracy", label=None)
    assert accuracy["mean"] == pytest.approx((3 / 4 + 5 / 6) / 2)
    assert accuracy["sd"] == pytest.approx(np.std([3 / 4, 5 / 6], ddof=1))
    assert (accuracy["folds"], accuracy["images"], accuracy["groups"]) == (2, 10, 5)
    precision = cell(published, quantity="precision", label=None)
    assert precision["mean"] == pytest.approx((1 + 1 / 2) / 2)


def test_each_class_counts_as_positive_once(published):
    assert cell(published, quantity="recall", label="healthy")["value"] == pytest.approx(5 / 6)
    assert cell(published, quantity="specificity", label="healthy")["value"] == 3 / 4
    assert cell(published, quantity="support", label="ALL")["value"] == 4


def test_intervals_are_those_of_the_jackknife_and_training_has_none(patel, published):
    both = pd.concat([FIRST.assign(fold=0), SECOND.assign(fold=1)])
    expected = metrics.jackknife(both, positive="healthy").loc["precision"]
    found = cell(published, label="healthy", quantity="precision")
    assert (found["low"], found["high"]) == (expected["low"], expected["high"])
    training = patel[patel["part"] == "training"]
    assert len(training) and training[["low", "high"]].isna().all(axis=None)


def test_a_table_has_folds_pooled_split_and_leak_free_side_by_side(patel):
    compared = report.compare(papers.load("patel2025"), patel)
    row = cell(compared, table="Table 2", model="vgg19", quantity="accuracy")
    assert row["printed"] == "98.87"
    assert row["reproduced"] == pytest.approx(80)
    assert row["reproduced mean"] == pytest.approx(100 * (3 / 4 + 5 / 6) / 2)
    assert row["70/15/15 split"] == pytest.approx(100 * 5 / 6)
    assert row["kept apart"] == pytest.approx(75)  # the run with ~ is in no table
    text = report.table(compared, "Table 2")
    sides = ["reproduced", "leak-free", "reproduced, mean of folds", "70/15/15 split"]
    assert list(text) == ["published", *sides, "weights"]
    vgg = text.loc[("vgg19", "accuracy")]
    assert vgg["reproduced"].startswith("80.0 (")
    assert vgg["reproduced, mean of folds"] == "79.2 ± 5.9"
    other = text.loc[("googlenet", "accuracy")]
    assert other[["reproduced", "reproduced, mean of folds"]].tolist() == ["not run", "not run"]
    assert (other["leak-free"], other["weights"]) == ("not run", "random, seed 0")
    assert text.loc[("resnet18", "accuracy"), "weights"] == ""


def test_a_number_measured_twice_is_refused(patel):
    with pytest.raises(ValueError, match="measured twice"):
        report.compare(papers.load("patel2025"), pd.concat([patel, patel]))


def test_a_run_of_ones_own_is_compared_under_the_keys_that_are_given(tmp_path):
    own = planned("patel2025", "published", "vgg19", keys={}, name="vgg19~0123abcd")
    folder = write(tmp_path, own, SECOND).parent
    scored = report.score(folder, dataset="cnmc-2019", model="vgg19", variant="")
    compared = report.compare(papers.load("patel2025"), report.concat([scored]))
    assert cell(compared, table="Table 3", model="vgg19")["reproduced"] == pytest.approx(500 / 6)


def test_what_mishra_calls_validation_is_the_scored_part(tmp_path):
    outcomes = [(name, name) for name in FOUR for _ in range(3)] + [("pre", "pro")]
    scored, watched = predictions(outcomes, FOUR), predictions([(n, n) for n in FOUR], FOUR)
    curve = history([0.5, 0.6], [0.4, 0.7])
    tables = {"training_predictions": watched, "history": curve}
    folders = [write(tmp_path, planned("mishra", "published", "vgg16-cnn"), scored, tables=tables)]
    tables = {"validation_predictions": watched, "history": curve}
    folders += [write(tmp_path, planned("mishra", "leak-free", "vgg16-cnn"), scored, tables=tables)]
    compared = report.compare(papers.load("mishra"), measured(*folders))
    recall = cell(compared, table="Table 4", label="pre", quantity="recall")
    assert (recall["part"], recall["printed"]) == ("validation", "0.99")
    assert recall["reproduced"] == recall["kept apart"] == pytest.approx(3 / 4)
    loss = cell(compared, table="Table 3", part="training", quantity="loss")
    assert loss["reproduced"] == pytest.approx(-np.log(0.9))
    assert cell(compared, table="Table 3", quantity="epochs")["reproduced"] == 2
    text = report.table(compared, "Table 4")
    assert text.loc[("pre", "recall"), "reproduced"].startswith("0.750 (")
    assert text.loc[("all", "accuracy"), "published"] == "1.00"


def test_originals_are_scored_alone_where_distorted_copies_were_scored_too(tmp_path):
    scored = predictions([("pre", "pre"), ("pre", "pro"), ("pro", "pro"), ("pro", "pro")], FOUR)
    scored["image_id"] = ["a", "a#1", "b", "b#1"]
    run = planned("mishra", "published", "vgg16-cnn")
    folder = write(tmp_path, run, scored, leaks={**LEAKS, "source_image": 1.0, "original": 0.5})
    text = report.table(report.compare(papers.load("mishra"), measured(folder)), "Table 5")
    row = text.iloc[0]
    assert row["reproduced"].startswith("75.0 (")
    assert row["reproduced, originals scored"].startswith("100.0 (")
    others = write(tmp_path, planned("mishra", "leak-free", "vgg16-cnn"), scored.iloc[::2])
    both = report.table(report.compare(papers.load("mishra"), measured(folder, others)), "Table 5")
    assert "leak-free, originals scored" not in both
    assert "leak-free, originals scored" not in text


@pytest.mark.parametrize(
    ("leaks", "subject", "name"),
    [
        ({}, "P", "leak-free"),
        ({}, "proxy:pro-", "by block"),
        ({"subject": None, "source_image": None}, "P", "by image"),
        ({"subject": 0.5}, "P", "by source image"),
        ({"subject": 0.5, "source_image": 0.5, "original": 0.5}, "P", "nothing kept apart"),
    ],
)
def test_leak_free_is_what_keeps_subjects_apart(tmp_path, leaks, subject, name):
    scored = predictions([(name, name) for name in FOUR], FOUR)
    scored["subject"] = [f"{subject}{number}" for number in range(4)]
    run = planned("mishra", "leak-free", "vgg16-cnn")
    found = measured(write(tmp_path, run, scored, leaks={**LEAKS, **leaks}))
    text = report.table(report.compare(papers.load("mishra"), found), "Table 5")
    assert [*text] == ["published", "reproduced", name]


def test_a_printed_matrix_is_compared_by_the_share_of_each_class(tmp_path):
    outcomes = [("early", "early")] * 3 + [("early", "benign"), ("pro", "pro")]
    folder = write(
        tmp_path, planned("sultana", "published", "dex_ensemble"), predictions(outcomes, FOUR)
    )
    compared = report.compare(papers.load("sultana"), measured(folder))
    row = cell(compared, table="Figure 6", label="early", quantity="taken for benign")
    assert (row["printed"], row["value"]) == ("30 of 305", pytest.approx(100 * 30 / 305))
    assert row["reproduced"] == 25
    # no benign image was tested
    assert np.isnan(cell(compared, table="Figure 6", row=0, column=0)["reproduced"])


def test_epochs_come_from_the_histories_and_variants_stay_apart(tmp_path):
    first, second = history([0.5, 0.6], [0.4, 0.5]), history([0.5, 0.8], [0.4, 0.7])
    tables = {"training_predictions": FIRST, "validation_predictions": SECOND}
    proposed = planned("samhitha", "published", PROPOSED)
    leak_free = planned("samhitha", "leak-free", PROPOSED, "mine")
    once = planned("samhitha", "published", f"{PROPOSED}_rescaled-once")
    folders = [write(tmp_path, proposed, FIRST, tables={**tables, "history": first})]
    write(tmp_path, leak_free, FIRST, 0, 2, tables={"history": first})
    folders += [write(tmp_path, leak_free, SECOND, 1, 2, tables={"history": second})]
    folders += [write(tmp_path, once, SECOND)]
    found = measured(*folders)
    compared = report.compare(papers.load("samhitha"), found)
    epochs = compared[compared["table"] == "Table III"]
    row = cell(epochs, epoch=2, part="training")
    assert (row["printed"], row["reproduced"]) == ("87.2", pytest.approx(60))
    assert row["kept apart"] == pytest.approx(70)
    assert epochs.loc[epochs["epoch"] > 2, "reproduced"].isna().all()
    here = compared[compared["table"] == "Table IV"]  # without a part: the test
    recall = cell(here, model=PROPOSED, quantity="recall", label="ALL")
    assert (recall["printed"], recall["reproduced"]) == ("69", pytest.approx(100 * 2 / 3))
    scores = report.score_table(found, ["accuracy"])
    here = ("cnmc-2019", PROPOSED, "rescaled-once", "reproduced")
    assert scores.loc[here, "accuracy"].startswith("0.833")


def test_a_run_with_pixels_as_the_weights_want_them_stands_beside_the_stated_one(tmp_path):
    own = "backbone-normalization"
    right = predictions([(name, name) for name in FOUR for _ in range(2)], FOUR)
    wrong = predictions([(name, "early") for name in FOUR for _ in range(2)], FOUR)
    frozen = "vgg19_frozen-features"
    folders = [
        write(tmp_path, planned("sultana", split, name, "paper"), outcome)
        for split, name, outcome in [
            ("published", frozen, wrong),
            ("published", f"{frozen}_{own}", right),
            ("leak-free", f"{frozen}_{own}", right),
            ("published", "densenet121_member", right),  # no variant of a printed run
        ]
    ]
    compared = report.compare(papers.load("sultana"), measured(*folders))
    row = cell(compared, table="Table 5", model="vgg19", part="test")
    assert (row["printed"], row["reproduced"], row[f"reproduced, {own}"]) == ("68", 25, 100)
    assert pd.isna(row["kept apart name"]) and not [name for name in compared if "member" in name]
    full = cell(compared, table="Table 3", model="vgg19", part="test")
    assert full[["reproduced name", f"reproduced, {own} name"]].isna().all()
    text = report.table(compared, "Table 5", model="vgg19")
    sides = ["published", "reproduced", "kept apart", f"reproduced, {own}"]
    assert list(text.drop(columns="reproduced, mean of folds", errors="ignore")) == sides
    elsewhere = report.table(compared, "Table 3")  # of other runs: no empty column
    assert not [name for name in elsewhere if own in name]


def test_a_profile_that_normalizes_otherwise_than_the_paper_says_so():
    used = report.substitutions(papers.load("sultana"), "sample")["used here"]
    assert used["mobilenetv2_frozen-features"].endswith("pixels as its weights want them")
    assert used["mobilenetv2_frozen-features_divided-by-255"].endswith("pixels divided by 255")
    stated = report.substitutions(papers.load("mishra"), "paper")["used here"]
    assert not stated.str.contains("pixels").any()
    extractors = report.substitutions(papers.load("farag2025"), "sample")["used here"]
    assert extractors["densenet201, divided-by-255"].endswith("pixels divided by 255")
    assert "vgg19" in extractors and len(extractors) == 2 + 4 + 4  # data sets, networks, variants


def test_the_weighted_ensemble_is_a_variant_and_classes_are_supported(tmp_path):
    right = predictions([(name, name) for name in FOUR for _ in range(2)], FOUR)
    wrong = predictions([(name, "early") for name in FOUR for _ in range(2)], FOUR)
    dex = planned("sultana", "published", "dex_ensemble")
    frozen = planned("sultana", "published", "vgg19_frozen-features")
    folders = [
        write(tmp_path, dex, wrong, tables={"weighted_predictions": right}),
        write(tmp_path, frozen, wrong, weights_used="random, seed 0"),
    ]
    found = measured(*folders)
    weighted = found[found["variant"] == "ensemble-weighted"]
    assert cell(weighted, quantity="accuracy", label=None)["value"] == 1
    compared = report.compare(papers.load("sultana"), found)
    row = cell(compared, table="Table 5", model="vgg19", part="test")
    assert (row["reproduced"], row["weights"]) == (25, "random, seed 0")
    support = cell(compared, table="Table 6", model="vgg19", label="benign", quantity="support")
    assert (support["printed"], support["reproduced"]) == ("140", 2)


def test_a_score_without_a_value_is_not_a_run_that_was_not_made(tmp_path):
    never = predictions([("ALL", "healthy"), ("healthy", "healthy")] * 2)
    found = measured(write(tmp_path, planned("patel2025", "published", "vgg19"), never))
    text = report.table(report.compare(papers.load("patel2025"), found), "Table 2")
    assert text.loc[("vgg19", "precision"), "reproduced"] == "undefined"
    assert text.loc[("vgg19", "precision"), "kept apart"] == "not run"
    assert text.loc[("vgg19", "sensitivity"), "reproduced"].startswith("0.0 (")
    assert report.score_table(found, ["precision"])["precision"].tolist() == ["undefined"]


@pytest.mark.parametrize(
    ("key", "part", "label", "expected"),
    [
        ("mishra", "validation", "pre", "25"),
        ("mishra", "total", "early", "385"),
        ("mishra", "training", "pro", "283"),
        ("sultana", "training", "all", "217"),
        ("sultana", "validation", "all", "93"),
    ],
)
def test_images_per_part_stand_beside_the_printed_counts(key, part, label, expected):
    from leukkit import runs

    (run, *_) = papers.load(key).plan("sample", "published")
    text = report.compare_images(papers.load(key), {"published": runs.split_of(run)})
    assert text.loc[("Table 2", part, label), "reproduced"] == expected


def test_counts_that_differ_between_folds_are_a_range():
    cells = pd.DataFrame({"label": ["ALL"] * 3 + ["healthy"] * 2})
    folds = [splits.Fold(np.array([0, 1]), np.array([], int), np.array([2, 3, 4]))]
    folds += [splits.Fold(np.array([2, 3, 4]), np.array([], int), np.array([0, 1]))]
    split = splits.Split(cells, folds, [], None, 0)
    text = report.compare_images(papers.load("samhitha"), {"published": split})
    assert text.loc[("Table I", "test", "ALL")].tolist() == ["1091", "1 to 2"]


def test_every_printed_score_of_a_run_is_compared():
    for key in papers.KEYS:
        card = papers.load(key)
        printed = card.cells()  # what stands beyond the tables need not name a run
        compared = report.compare(card, report.concat([]))
        compared = compared[compared["table"].isin(printed["table"])]
        scores = printed[printed["quantity"].isin(overview.SCORES)]
        assert len(compared[compared["quantity"].isin(overview.SCORES)]) == len(scores)
