"""What is said about patel2025 beside its tables, against counts made by hand."""

import numpy as np
import pandas as pd
import pytest

from leukkit import images, metrics, models, papers, profiles, reproduction, splits
from leukkit.report import patel2025
from leukkit.training import Recipe


@pytest.fixture(scope="module")
def card():
    return papers.load("patel2025")


def predictions_of(hits, misses, false_alarms, right_healthy, fold=0):
    counts = (("ALL", 0.9, hits), ("ALL", 0.1, misses))
    counts += (("healthy", 0.9, false_alarms), ("healthy", 0.1, right_healthy))
    rows = [(label, p) for label, p, count in counts for _ in range(count)]
    frame = pd.DataFrame(rows, columns=["label", "prob_ALL"])
    frame["image_id"] = frame["subject"] = frame.index.astype(str)
    frame["prob_healthy"] = 1 - frame["prob_ALL"]
    names = ["image_id", "subject", "label", "prob_healthy", "prob_ALL"]
    return frame[names].assign(fold=fold)


def test_the_printed_fold_is_a_seventh_of_the_test_part_only(card):
    sizes = patel2025.compare_fold_sizes(card)
    assert list(sizes.loc["ALL", ["all images", "test part", "printed per test fold"]]) == [
        7272,
        1091,
        156,
    ]
    near = sizes["a seventh of the test part"] - sizes["printed per test fold"]
    far = sizes["a seventh of all images"] - sizes["printed per test fold"]
    assert (near.abs() < 1).all()
    assert (far > 400).all()


def test_the_baselines_agree_with_themselves_and_the_proposed_row_does_not(card):
    reread = patel2025.reread_table_2(card)
    baselines = reread.drop(index="vgg19").xs("difference", axis=1, level=1)
    assert (baselines.abs() < 0.011).all(axis=None)
    assert reread.loc["vgg19", ("accuracy", "difference")] == pytest.approx(-0.05, abs=0.01)
    assert reread.loc["vgg19", ("precision", "difference")] == pytest.approx(0.23, abs=0.01)


def test_what_is_implied_is_what_the_metrics_say(card, monkeypatch):
    counts = predictions_of(1000, 91, 8, 500)
    scores = 100 * metrics.scores(counts)
    cells = card.cells()
    in_table = cells["table"] == "Table 2"
    cells.loc[in_table, "value"] = cells.loc[in_table, "quantity"].map(scores)
    monkeypatch.setattr(type(card), "cells", lambda self: cells)
    reread = patel2025.reread_table_2(card)
    assert (reread.xs("difference", axis=1, level=1).abs() < 1e-9).all(axis=None)


def test_the_split_is_counted_by_part_and_class(card):
    profile = profiles.load(card, "sample")
    counted = patel2025.compare_split(card, profile)
    assert counted.loc[("training", "ALL"), "published"] == 5090
    assert counted.loc[("test", "healthy"), "published"] == 508
    assert counted["here"].sum() == len(reproduction.load_cells(profile, "cnmc-2019"))
    assert counted["share"].groupby("class").sum().to_numpy() == pytest.approx([1, 1])


def test_the_normalization_knows_the_training_images_only(card):
    profile = profiles.load(card, "sample")
    cells = reproduction.load_cells(profile, "cnmc-2019").groupby("label").head(6)
    cells = cells.reset_index(drop=True)
    folds = [splits.Fold(np.arange(4), np.arange(4, 6), np.arange(6, 12))]
    preparation = images.Preparation(32)
    found = patel2025.normalization_statistics(cells, folds, preparation)
    pixels = images.prepare(cells, preparation).astype(float)
    expected = [*pixels[:4].mean(axis=(0, 1, 2)), *pixels[:4].std(axis=(0, 1, 2))]
    assert found.loc[1].to_numpy() == pytest.approx(expected)
    everything = [*pixels.mean(axis=(0, 1, 2)), *pixels.std(axis=(0, 1, 2))]
    assert found.loc["all images"].to_numpy() == pytest.approx(everything)


def test_each_operation_is_shown_alone():
    rgb = np.random.default_rng(0).integers(0, 200, (40, 40, 3), dtype=np.uint8)
    ranges = {"flip_horizontal": True, "brightness": 0.1, "rotation": 15, "fill": "black"}
    shown = patel2025.augment_singly(rgb, ranges)
    assert list(shown) == ["b: flipped", "c: turned\n15°", "d: brightness\n×1.10"]
    np.testing.assert_array_equal(shown["b: flipped"], rgb[:, ::-1])
    np.testing.assert_allclose(shown["d: brightness\n×1.10"], 1.1 * rgb, atol=0.51)
    assert not np.array_equal(shown["c: turned\n15°"], rgb)


def test_only_the_new_layer_learns_ten_times_as_fast():
    phases = [{"epochs": 1, "learning_rate": 1e-4}]
    recipe = Recipe("vgg19", 32, phases, optimizer="sgd", new_layer_factor=10)
    layers = patel2025.describe_layers(recipe, [64])
    network = models.build("vgg19", 2, 64, head="vgg_dense")
    assert layers.loc["whole", "64 px"] == network.count_params()
    assert layers["64 px"].iloc[:-1].sum() == layers.loc["whole", "64 px"]
    assert layers.loc["16 convolutions", "64 px"] == 20_024_384
    assert layers.loc["new layer", "64 px"] == 2 * 4096 + 2
    assert list(layers["learning rate"]) == ["0.0001"] * 3 + ["0.001", ""]


def test_folds_are_scored_by_themselves_and_together():
    two = [predictions_of(8, 2, 1, 9, fold=0), predictions_of(10, 0, 5, 5, fold=1)]
    scored = patel2025.score_folds(pd.concat(two, ignore_index=True))
    assert list(scored.index) == [1, 2, "mean", "standard deviation", "pooled"]
    assert scored["accuracy"].tolist() == pytest.approx([85, 75, 80, np.sqrt(50), 80])
    assert scored.loc["pooled", "precision"] == pytest.approx(100 * 18 / 24)
    assert scored.loc["mean", "precision"] == pytest.approx(100 * (8 / 9 + 10 / 15) / 2)
    assert scored.loc["pooled", "images"] == 40
