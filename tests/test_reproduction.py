"""The whole way from a card to a comparison, on drawn cells with one small network."""

import dataclasses
import json

import pandas as pd
import pytest

from leukkit import feature_folds, metrics, papers, report, reproduction, results
from leukkit.reproduction import Run

PLAIN = Run("cnmc-2019", "densenet201", "svm", segmentation=False, augmentation=False)
AUGMENTED = PLAIN._replace(classifier="rf", augmentation=True)


@pytest.fixture(scope="module")
def card():
    card = papers.load("farag2025")
    small = {
        **card.profile("sample"),
        "datasets": {"cnmc-2019": "sample-cells"},
        "backbones": {"densenet201": "mobilenet-0.25"},
        "counts": {"cnmc-2019": {"healthy": 300, "ALL": 300}},
        "image_size": 32,
        "folds": 3,
        "grid_folds": 2,
        "c": [1, 10],
        "gamma": [0.1, 0.001],
        "kernels": ["rbf"],
        "bootstrap_draws": 200,
        "jobs": 1,
    }
    return dataclasses.replace(card, profiles={**card.profiles, "sample": small})


@pytest.fixture(scope="module")
def finished(card, tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    for protocol in ("published", "image-level", "leak-free"):
        reproduction.run(card, "sample", protocol, [PLAIN, AUGMENTED], folder)
    return folder


def read(folder, protocol, run):
    return results.read_table(folder / "farag2025" / "sample" / protocol / run.model)


def test_the_plan_holds_every_run_of_the_tables_once():
    card = papers.load("farag2025")
    runs = reproduction.plan(card, card.profile("paper"))
    assert len(runs) == len(set(runs))
    # Table IV: 6 networks x 3 classifiers x 2 data sets; VII: the same on ALL-IDB2, with and
    # without segmentation; VIII adds C-NMC without augmentation; and 2 with scaled features.
    assert len(runs) == 36 + 36 + 3 + 2


def test_what_a_profile_leaves_out_is_not_planned(card):
    runs = reproduction.plan(card, card.profile("sample"))
    assert {(run.dataset, run.backbone) for run in runs} == {("cnmc-2019", "densenet201")}


def test_the_leak_free_protocol_tests_every_cell_once(card, finished):
    cells = reproduction.load_cells(card.profile("sample"), "cnmc-2019")
    for run in (PLAIN, AUGMENTED):
        predictions = read(finished, "leak-free", run)
        assert sorted(predictions["image_id"]) == sorted(cells["image_id"])


def test_the_published_protocol_tests_a_fifth_of_the_augmented_images(finished):
    predictions = read(finished, "published", AUGMENTED)
    assert len(predictions) == 120
    assert predictions["image_id"].str.contains("#").any()


def test_seeing_the_same_subjects_raises_the_score(finished):
    by_image = metrics.scores(read(finished, "image-level", AUGMENTED))["auc"]
    by_subject = metrics.scores(read(finished, "leak-free", AUGMENTED))["auc"]
    assert by_image > by_subject > 0.5


def test_a_finished_run_is_not_made_again(card, finished, monkeypatch):
    def fail(*arguments):
        raise AssertionError("features were extracted again")

    monkeypatch.setattr(feature_folds, "extract", fail)
    reproduction.run(card, "sample", "leak-free", [PLAIN], finished)


def test_an_interrupted_run_goes_on_with_the_next_fold(card, finished, tmp_path, monkeypatch):
    fits, original = [], feature_folds.fit

    def dies_in_the_second_fold(*arguments):
        fits.append(1)
        if len(fits) == 2:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(feature_folds, "fit", dies_in_the_second_fold)
    with pytest.raises(KeyboardInterrupt):
        reproduction.run(card, "sample", "leak-free", [AUGMENTED], tmp_path)
    first = results.fold_dir(tmp_path, "farag2025", "sample", "leak-free", AUGMENTED.model, 0)
    written = (first / "fold.json").stat().st_mtime_ns
    monkeypatch.setattr(feature_folds, "fit", original)
    reproduction.run(card, "sample", "leak-free", [AUGMENTED], tmp_path)
    assert (first / "fold.json").stat().st_mtime_ns == written
    pd.testing.assert_frame_equal(
        read(tmp_path, "leak-free", AUGMENTED), read(finished, "leak-free", AUGMENTED)
    )


def test_other_settings_do_not_overwrite_a_finished_run(card, finished):
    changed = {**card.profile("sample"), "seed": 1}
    other = dataclasses.replace(card, profiles={**card.profiles, "sample": changed})
    with pytest.raises(results.ConfigurationError, match="seed"):
        reproduction.run(other, "sample", "leak-free", [PLAIN], finished)


def test_the_comparison_puts_measured_values_beside_printed_ones(card, finished):
    measured = report.measure(card, "sample", finished, draws=200)
    compared = report.compare(card, measured)
    printed = card.cells()
    named = printed[list(reproduction.KEYS)].notna().all(axis=1)
    assert len(compared) == named.sum()
    cell = compared.query("table == 'Table VIII' and dataset == 'cnmc-2019' and classifier == 'rf'")
    cell = cell[cell["augmentation"].astype(bool)].iloc[0]
    accuracy = {
        protocol: 100 * metrics.scores(read(finished, protocol, AUGMENTED))["accuracy"]
        for protocol in ("published", "leak-free")
    }
    assert cell["printed"] == "97.20"
    assert cell["reproduced"] == pytest.approx(accuracy["published"])
    assert cell["leak-free"] == pytest.approx(accuracy["leak-free"])
    assert cell["leak-free low"] < cell["leak-free"] < cell["leak-free high"]


def test_a_cell_that_was_not_run_says_so(card, finished):
    compared = report.compare(card, report.measure(card, "sample", finished, draws=50))
    table = report.table(compared, "Table VIII", dataset="cnmc-2019")
    assert table.loc[("xgboost", True), "leak-free"] == "not run"
    assert "to" in table.loc[("rf", True), "leak-free"]


def test_the_chosen_hyperparameters_stand_beside_the_printed_ones(card, finished):
    table = report.compare_grid(card, "sample", [PLAIN], finished)
    assert table.iloc[0].tolist() == ["10", "0.01", "rbf"]
    path = finished / "farag2025" / "sample" / "published" / PLAIN.model / "fold-0" / "fold.json"
    chosen = json.loads(path.read_text())["selected"]
    row = table.loc[("cnmc-2019", "svm", "reproduced")]
    assert row.tolist() == [str(chosen[name]) for name in ("C", "gamma", "kernel")]


def test_leakage_falls_from_split_to_split(card):
    profile = card.profile("sample")
    table = reproduction.leakage(profile, "cnmc-2019", ["published", "patient", "leak-free"], True)
    assert table.loc["published", "subject"] == 1
    assert table.loc["published", "original"] > 0
    assert 0 < table.loc["patient", "subject"] < 1
    assert table.loc["patient", "patient"] == 0
    assert (table.loc["leak-free"].drop("test images") == 0).all()


def test_scores_without_patients_are_drawn_over_original_images():
    predictions = pd.DataFrame(
        {"image_id": ["a", "a#1", "b"], "subject": pd.array([pd.NA] * 3, dtype="string")}
    )
    over, name = report.groups(predictions)
    assert over.tolist() == ["a", "a", "b"] and name == "original images"


def test_printing_names_the_stand_ins(card, finished, capsys):
    report.print_comparison(card, "sample", finished)
    text = capsys.readouterr().out
    assert "sample-cells" in text and "mobilenet-0.25, random weights, 32 px" in text
    assert "Table VIII" in text and "97.20" in text
