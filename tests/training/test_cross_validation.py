"""Folds that are finished stay, and the same settings give the same predictions."""

import json
import re
import shutil

import joblib
import numpy as np
import pandas as pd
import pytest

from leukkit import datasets, metrics, results, splits, training
from leukkit.images import ImageError, Preparation, load
from leukkit.metrics import check_predictions
from leukkit.training import network
from tests.training import tiny


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return tiny.cross_validate(tmp_path_factory.mktemp("results"))


def pooled(folder):
    return results.read_table(folder)


def changed(folder):
    return {path: path.stat().st_mtime_ns for path in sorted(folder.rglob("*")) if path.is_file()}


def test_every_image_is_tested_once_with_probabilities_that_can_be_scored(finished):
    predictions = pooled(finished)
    assert check_predictions(predictions) == ("healthy", "ALL")
    assert sorted(predictions["image_id"]) == sorted(tiny.cells()["image_id"])
    assert metrics.scores(predictions).notna().all()


def test_a_fold_says_how_it_was_made(finished):
    record = results.read_record(finished / "fold-0")
    assert record.weights_used == "random"
    assert re.fullmatch(r"1 x CPU, threads: \d+|1 x (?!CPU).*", record.arithmetic)
    assert record.epochs == 3
    history = results.read_table(finished, "history")
    assert list(history["epoch"]) == [1, 2, 3] * 3
    assert history[["loss", "validation_loss", "validation_accuracy"]].notna().all(axis=None)


def test_the_best_epoch_is_chosen_on_validation(finished):
    for number in range(3):
        history = results.read_fold(finished / f"fold-{number}", "history")
        best = history.loc[history["validation_loss"].idxmin()]
        record = results.read_record(finished / f"fold-{number}")
        assert record.selected["epoch"] == best["epoch"]
        kept = results.read_fold(finished / f"fold-{number}", "validation_predictions")
        of_label = np.where(kept["label"] == "ALL", kept["prob_ALL"], kept["prob_healthy"])
        assert -np.log(of_label).mean() == pytest.approx(best["validation_loss"], abs=1e-5)


def test_a_finished_run_is_not_touched_again(finished):
    before = changed(finished)
    tiny.cross_validate(finished.parents[3])
    assert changed(finished) == before


def test_another_recipe_lies_beside_and_other_images_are_refused(finished):
    before = changed(finished)
    beside = tiny.cross_validate(finished.parents[3], batch_size=4, folds=2)
    assert beside != finished and beside.parent == finished.parent
    with pytest.raises(results.ConfigurationError, match=r"another configuration.*images\.train"):
        tiny.cross_validate(finished.parents[3], per_class=23)
    assert changed(finished) == before


def test_a_network_used_again_predicts_as_a_new_one(tmp_path):
    phases = [{"epochs": 1, "learning_rate": 0.05, "trainable": part} for part in ("all", 2, "all")]
    options = {"network": "tiny-normalized", "phases": phases, "optimizer": "adam", "seed": 1}
    folder = tiny.cross_validate(tmp_path / "again", **options)
    network._last.make = None  # the next fold gets a new one
    for fold in ("fold-0", "fold-1"):
        there = tmp_path / "new" / folder.relative_to(tmp_path / "again") / fold
        shutil.copytree(folder / fold, there)
    new = tiny.cross_validate(tmp_path / "new", **options)
    pd.testing.assert_frame_equal(pooled(new), pooled(folder))


def check_kept(folder):
    """Check that the saved model of the first fold predicts what was written; return it."""
    import keras

    kept = keras.models.load_model(folder / "fold-0" / "model.keras", compile=False)
    frame, written = tiny.cells(), results.read_fold(folder / "fold-0")
    positions = pd.Index(frame["image_id"]).get_indexer(written["image_id"])
    pixels = load(frame, Preparation(32))[positions].astype(np.float32)
    values = kept.predict(pixels, verbose=0)
    np.testing.assert_allclose(values[:, 1], written["prob_ALL"], atol=1e-5)
    return kept


def test_the_kept_model_predicts_what_was_written(finished):
    check_kept(finished)
    assert not (finished / "fold-1" / "model.keras").exists()


def test_dask_gives_the_same_predictions(finished, tmp_path):
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, processes=True
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        client.run(tiny.install)
        with joblib.parallel_config(backend="dask"):
            folder = tiny.cross_validate(tmp_path, jobs=None)
        ran_on = client.run(lambda: "tensorflow" in __import__("sys").modules)
    assert all(ran_on.values())
    pd.testing.assert_frame_equal(pooled(folder), pooled(finished))


def test_a_frozen_backbone_is_not_changed_and_sees_each_image_once(tmp_path):
    phases = [{"epochs": 2, "learning_rate": 0.05, "trainable": "head"}]
    kept = check_kept(tiny.cross_validate(tmp_path, phases=phases))
    fresh = tiny.build("tiny", 2, 32, normalization="backbone")
    for layer, untrained in zip(kept.layers[:-1], fresh.layers[:-1], strict=True):
        for values, expected in zip(layer.get_weights(), untrained.get_weights(), strict=True):
            np.testing.assert_array_equal(values, expected)
    assert not np.allclose(kept.layers[-1].get_weights()[0], fresh.layers[-1].get_weights()[0])


def test_patience_stops_training(tmp_path):
    folder = tiny.cross_validate(
        tmp_path, phases=[{"epochs": 30, "learning_rate": 1e-12}], patience=2, folds=2
    )
    assert max(record.epochs for record in results.read_records(folder)) < 30


def test_mixed_precision_ends_in_float32(tmp_path):
    folder = tiny.cross_validate(tmp_path, mixed_precision=True, folds=2)
    assert np.isfinite(pooled(folder)["prob_ALL"]).all()
    import keras

    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.parametrize("label", ["all", 1, pd.NA])
def test_a_label_that_is_no_class_is_not_trained_as_the_last_one(tmp_path, label):
    frame = tiny.cells()
    divided = splits.folds(frame, {"split": "stratified", "folds": 3, "validation": 0.2})
    frame["label"] = frame["label"].astype(object)
    frame.loc[5, "label"] = label
    message = rf"image {frame['image_id'][5]!r} has the label {label!r}, expected .*healthy, ALL"
    with pytest.raises(datasets.DatasetError, match=message):
        tiny.run_folds(tiny.split(frame, divided), tmp_path)
    assert not list(tmp_path.rglob("predictions.csv"))


def test_a_class_missing_in_a_fold_is_named(tmp_path):
    frame = tiny.cells()
    healthy = np.flatnonzero(frame["label"] == "healthy")
    sick = np.flatnonzero(frame["label"] == "ALL")
    fold = splits.Fold(sick, healthy[:4], np.concatenate([healthy[4:], sick[:1]]))
    with pytest.raises(ValueError, match="fold 0: no training image of the class healthy"):
        tiny.run_folds(tiny.split(frame, [fold]), tmp_path)


def test_a_batch_larger_than_the_fold_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"do not fill one batch of 400"):
        tiny.cross_validate(tmp_path, batch_size=400)


def test_best_epoch_or_patience_without_validation_images_is_refused(tmp_path):
    frame = tiny.cells()
    split = tiny.split(frame, splits.folds(frame, {"split": "stratified", "folds": 2}))
    with pytest.raises(ValueError, match="no validation images"):
        tiny.run_folds(split, tmp_path)
    with pytest.raises(ValueError, match=r"no validation images .* patience = 0"):
        tiny.run_folds(split, tmp_path, select="last", patience=2)
    tiny.run_folds(split, tmp_path, select="last")


def test_a_loss_that_is_no_number_names_epoch_and_batch_and_keeps_the_last_good_weights(
    tmp_path,
):
    phases = [{"epochs": 1, "learning_rate": 1e-3}, {"epochs": 2, "learning_rate": 1e39}]
    expected = r"fold 0 stopped: .*epoch 2, batch \d"
    with pytest.raises(training.TrainingError, match=expected) as error:
        tiny.cross_validate(tmp_path, folds=2, phases=phases, optimizer="sgd")
    (kept,) = tmp_path.rglob("checkpoint.npz")
    assert str(kept) in str(error.value)
    with np.load(kept) as file:
        assert json.loads(str(file["record"]))["history"][-1]["epoch"] == 1
        assert all(np.isfinite(file[name]).all() for name in file.files if name[:3] == "wei")


def test_an_image_that_went_away_since_loading_is_named(tmp_path):
    frame = tiny.cells()
    frame["path"] = frame["path"].str.replace("healthy", "elsewhere")
    folds = splits.folds(frame, {"split": "stratified", "folds": 2, "validation": 0.2})
    with pytest.raises(ImageError, match=r"elsewhere.*is gone"):  # at a size that no test cached
        tiny.run_folds(tiny.split(frame, folds), tmp_path, image_size=33)


def test_tensorboard_logs_lie_in_the_fold(tmp_path):
    folder = tiny.cross_validate(tmp_path, folds=2, tensorboard=True)
    assert list(folder.glob("fold-0/tensorboard/events*"))
