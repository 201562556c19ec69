"""Kept models: used on images again, and files that cannot be trusted or read."""

import dataclasses
import datetime
import io
import json
import pathlib
import pickle
import shutil
import zipfile

import numpy as np
import PIL.Image
import pytest
from leukkit.kept_models import classifier_files
from leukkit.kept_models.classifier_files import ModelFileError

from leukkit import (
    classifiers,
    cli,
    datasets,
    kept_models,
    papers,
    predictor,
    reproduction,
    results,
)
from leukkit.metrics import calibration
from leukkit.report import predicted, upload
from tests.training import tiny

NOW = datetime.datetime.now(datetime.UTC)
RUNS = [
    reproduction.Run("cnmc-2019", "densenet201", name, False, True)
    for name in ("svm", "svm-scaled", "rf", "xgboost")
]


@pytest.fixture(scope="module")
def network_run(tmp_path_factory):
    """Return the folder of a finished network with a validation part."""
    return tiny.cross_validate(tmp_path_factory.mktemp("results"), folds=2, per_class=40)


@pytest.fixture(scope="module")
def network(network_run):
    return predictor.load(network_run / "fold-0")


@pytest.fixture(scope="module")
def classifier_runs(tmp_path_factory):
    """Return the folders of kept classifiers on features, by name."""
    card = papers.load("farag2025")
    small = {
        **card.profile("sample"),
        "datasets": {"cnmc-2019": "sample-cells"},
        "backbones": {"densenet201": "mobilenet-0.25"},
        "counts": {"cnmc-2019": {"healthy": 280, "ALL": 280}},
        "image_size": 64,
        "c": [10],
        "gamma": [0.001, 0.1],
        "kernels": ["rbf"],
        "jobs": 1,
        "runs_kept": [],
    }
    card = dataclasses.replace(card, profiles={**card.profiles, "sample": small})
    folder = tmp_path_factory.mktemp("results")
    made = reproduction.run(card, "sample", "leak-free", RUNS, folder)
    return {run.classifier: path / "fold-0" for run, path in zip(RUNS, made, strict=True)}


@pytest.fixture
def copy(network_run, tmp_path):
    """Return a copy of the network's folder that a test may spoil."""
    return shutil.copytree(network_run / "fold-0", tmp_path / "fold-0")


@pytest.fixture(scope="module")
def paths():
    return list(datasets.load("sample-cells")["path"][:3])


def changed_record(folder, **fields):
    record = json.loads((folder / "predictor.json").read_text())
    (folder / "predictor.json").write_text(json.dumps(record | fields))


def signed(folder, name):
    """Enter the file's own hash, as whoever exchanges a model would."""
    record = json.loads((folder / "predictor.json").read_text())
    hashes = record["sha256"] | {name: kept_models.sha256(folder / name)}
    changed_record(folder, sha256=hashes)


def predict_again(folder):
    """Return a fold's test predictions, and what the kept model says of the same images."""
    written = results.read_fold(folder)
    cells = datasets.load("sample-cells").set_index("image_id")
    model = predictor.load(folder)
    return written, model, predictor.predict(model, list(cells.loc[written["image_id"], "path"]))


def assert_same(written, model, found):
    expected = calibration.scale_temperature(written, model.facts["temperature"])
    names = [f"prob_{name}" for name in model.classes]
    np.testing.assert_allclose(found[names], expected[names], atol=1e-4)
    assert found["calibrated"].all()
    np.testing.assert_allclose(found["confidence"], expected[names].max(axis=1), atol=1e-4)


def test_a_network_says_again_what_it_said_in_the_test_but_calibrated(network_run):
    folder = network_run / "fold-0"
    written, model, found = predict_again(folder)
    assert_same(written, model, found)
    watched = results.read_fold(folder, "validation_predictions")
    assert model.facts["temperature"] == pytest.approx(calibration.fit_temperature(watched))


@pytest.mark.parametrize("name", ["svm", "svm-scaled", "rf", "xgboost"])
def test_a_classifier_says_again_what_it_said_in_the_test_but_calibrated(classifier_runs, name):
    written, model, found = predict_again(classifier_runs[name])
    if model.facts["temperature"] is None:
        model.facts["temperature"] = 1.0
        found["calibrated"] = True
    assert_same(written, model, found)
    assert found["unlike_training"].mean() < 0.1


def test_strange_images_are_warned_about_and_the_test_images_are_not(classifier_runs, tmp_path):
    cells = datasets.load("sample-cells")
    original = np.array(PIL.Image.open(cells["path"][0]))
    white = np.full_like(original, 255)
    for name, pixels in {"inverted": 255 - original, "white": white}.items():
        PIL.Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    _, model, found = predict_again(classifier_runs["svm"])
    assert found["unlike_training"].mean() < 0.1
    strange = predictor.predict(model, [tmp_path / "inverted.png", tmp_path / "white.png"])
    assert strange["unlike_training"].all(), strange["distance"] / strange["threshold"]
    assert (strange["distance"] > strange["threshold"]).all()
    assert strange["warning"].str.startswith("unlike the training images").all()


def test_images_of_another_size_are_predicted_with_a_warning(network, paths, tmp_path):
    PIL.Image.open(paths[0]).resize((300, 200)).save(tmp_path / "large.tif")
    row = predictor.predict(network, [tmp_path / "large.tif"]).iloc[0]
    assert row["predicted"] in network.classes
    assert "300 x 200 pixels, training images are 112 x 112" in row["warning"]


def test_damaged_images_are_named_and_the_others_come_out(network, paths, tmp_path):
    text, cut, gone = (tmp_path / name for name in ("text.png", "cut.png", "gone.png"))
    text.write_text("no image")
    whole = pathlib.Path(paths[1]).read_bytes()
    cut.write_bytes(whole[: len(whole) // 2])
    frame = predictor.predict(network, [paths[0], text, cut, gone, paths[1]], batch_size=2)
    assert frame["error"].isna().tolist() == [True, False, False, False, True]
    assert frame["predicted"].isna().tolist() == [False, True, True, True, False]
    for path, part in ((text, "is not an image"), (cut, "cut short"), (gone, "no such file")):
        message = frame.set_index("image").loc[str(path), "error"]
        assert str(path) in message and part in message
    alone = predictor.predict(network, [paths[1]])
    assert frame["prob_ALL"][4] == pytest.approx(alone["prob_ALL"][0], abs=1e-6)


def test_without_validation_nothing_is_called_calibrated(tmp_path):
    with tiny.installed():
        frame = tiny.cells(16)
        from leukkit import splits, training

        recipe = training.Recipe(
            network="tiny", image_size=32, phases=tiny.PHASES, batch_size=8, select="last"
        )
        folder = training.cross_validate(
            "try",
            frame,
            splits.stratified_kfold(frame, folds=2, seed=0),
            recipe=recipe,
            protocol="published",
            profile="sample",
            run={"model": "tiny"},
            results_dir=tmp_path,
        )
    model = predictor.load(folder / "fold-0")
    row = predictor.predict(model, [frame["path"][0]]).iloc[0]
    assert not row["calibrated"]
    assert np.isnan(row["distance"]) and row["unlike_training"] is not True
    text = "\n".join(predicted.describe(model))
    assert "not calibrated: this run set no validation images aside" in text


def test_grad_cam_shows_a_network_and_is_refused_for_a_classifier(network, classifier_runs, paths):
    pixels, maps = predictor.look(network, paths)
    assert pixels.shape == (3, 32, 32, 3) and maps.shape == (3, 32, 32)
    with pytest.raises(ValueError, match="Grad-CAM is not defined for this model, a rf"):
        predictor.look(predictor.load(classifier_runs["rf"]), paths)


# ------------------------------------------------------------------------- files not to be trusted


class Malicious:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def test_a_pickle_in_the_place_of_the_model_does_not_run(classifier_runs, tmp_path):
    folder = shutil.copytree(classifier_runs["rf"], tmp_path / "fold-0")
    mark = tmp_path / "was here"
    (folder / "model.skops").write_bytes(pickle.dumps(Malicious(mark)))
    with pytest.raises(ModelFileError, match="is not the file that"):
        predictor.load(folder)
    signed(folder, "model.skops")
    with pytest.raises(ModelFileError, match=r"model\.skops is no skops file.*pickle"):
        predictor.load(folder)
    assert not mark.exists()


def test_a_skops_file_with_a_foreign_type_is_refused_by_its_name(tmp_path):
    import skops.io

    mark = tmp_path / "was here"
    skops.io.dump({"classes": Malicious(mark)}, tmp_path / "model.skops")
    with pytest.raises(ModelFileError, match=r"not trusted: .*test_predictor\.Malicious"):
        classifier_files.load(tmp_path / "model.skops")
    assert not mark.exists()
    with zipfile.ZipFile(tmp_path / "empty.skops", "w") as file:
        file.writestr("something", "else")
    with pytest.raises(ModelFileError, match="damaged skops file"):
        classifier_files.load(tmp_path / "empty.skops")


def test_a_network_with_code_in_it_is_refused(copy, tmp_path):
    import keras

    mark = tmp_path / "was here"
    image = keras.Input((32, 32, 3))
    name = str(mark)
    code = keras.layers.Lambda(lambda x: (__import__("pathlib").Path(name).touch(), x)[1])
    output = keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(code(image)))
    keras.Model(image, output).save(copy / "model.keras")
    mark.unlink(missing_ok=True)
    signed(copy, "model.keras")
    with pytest.raises(ModelFileError, match=r"model\.keras cannot be loaded in Keras' safe mode"):
        predictor.load(copy)
    assert not mark.exists()


def test_positions_that_point_out_of_a_model_are_refused(tmp_path):
    generator = np.random.default_rng(0)
    features = generator.standard_normal((40, 4))
    labels = np.where(features[:, 0] > 0, "ALL", "healthy")
    search = classifiers.grid_search_svm(features, labels, (1,), (0.1,), ("rbf",), folds=2)
    machine = search.best_estimator_
    machine.machine_.support_[0] = 10_000_000
    classifier_files.save(machine, tmp_path / "model.skops")
    with pytest.raises(ModelFileError, match="KernelMachine is not one that leukkit fits"):
        classifier_files.load(tmp_path / "model.skops")


def test_a_changed_or_missing_file_is_noticed(copy):
    with (copy / "model.keras").open("ab") as file:
        file.write(b"more")
    with pytest.raises(ModelFileError, match=r"model\.keras is not the file .*sha256"):
        predictor.load(copy)
    (copy / "model.keras").unlink()
    with pytest.raises(ModelFileError, match=r"model\.keras is gone"):
        predictor.load(copy)


def test_a_model_of_an_older_version_says_what_to_do(copy):
    (copy / "predictor.json").unlink()
    with pytest.raises(ModelFileError, match=r"no predictor\.json: an older version.*run again"):
        predictor.load(copy / "model.keras")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"format": 7}, "written in format 7, and this version of leukkit reads 1"),
        ({"format": None}, "written in format None"),
        ({"classes": "ALL"}, "field 'classes' is missing or wrong"),
        ({"temperature": "warm"}, "field 'temperature' is missing or wrong: 'warm'"),
        ({"temperature": -1.0}, "contradict each other"),
        ({"model": "../../etc/passwd"}, "contradict each other"),
        ({"classes": ["a", "b", "c"]}, "says 32 pixels and 3 classes"),
        ({"segmentation": {"power": 9}}, "segmentation: .*power"),
        ({"configuration_hash": "0"}, "holds the files of two runs"),
    ],
)
def test_a_record_that_is_wrong_is_refused(copy, fields, message):
    changed_record(copy, **fields)
    with pytest.raises(ModelFileError, match=message):
        predictor.load(copy)


def test_folders_that_keep_no_model_say_where_one_is(network_run, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"give one fold with a kept model: .*fold-0"):
        predictor.load(network_run)
    with pytest.raises(FileNotFoundError, match=r"keeps no model.*models_kept"):
        predictor.load(network_run / "fold-1")
    with pytest.raises(FileNotFoundError, match="holds no kept model"):
        predictor.load(tmp_path)
    with pytest.raises(FileNotFoundError, match="no such folder or model file"):
        predictor.load(tmp_path / "gone")


def test_an_ensemble_names_its_members(tmp_path):
    table = tiny.cells(8)[["image_id", "subject", "label"]].assign(prob_healthy=0.5, prob_ALL=0.5)
    run = {"dataset": "all-2021", "model": "dex", "variant": "ensemble"}
    selected = {"densenet121": 0.5, "xception": 0.5}
    configuration = {"run": run, "members": ["a", "b"]}
    results.write_fold(
        tmp_path, configuration, table, folds=1, seed=0, seconds=0, selected=selected
    )
    with pytest.raises(FileNotFoundError, match=r"is an ensemble.*densenet121, xception"):
        predictor.load(tmp_path)


# ---------------------------------------------------------------------------------- what is shown


def test_the_command_writes_csv_json_and_figures(network_run, paths, tmp_path, capsys):
    model = str(network_run / "fold-0" / "model.keras")
    for name in ("out.csv", "out.json"):
        arguments = ["predict", model, *paths, "--output", str(tmp_path / name)]
        assert cli.main([*arguments, "--grad-cam", str(tmp_path / "maps")]) == 0
    text = capsys.readouterr().out
    assert "Research software, not for clinical use." in text and "calibrated: temp" in text
    rows = json.loads((tmp_path / "out.json").read_text())["images"]
    assert [row["image"] for row in rows] == paths
    assert all(row["error"] is None and 0 <= row["prob_ALL"] <= 1 for row in rows)
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 4
    assert PIL.Image.open(tmp_path / "maps" / "grad-cam-1-to-3.png").width > 300


def test_the_command_fails_where_an_image_or_the_call_is_bad(network_run, paths, tmp_path, capsys):
    model, bad = str(network_run / "fold-0"), tmp_path / "bad.png"
    bad.write_text("no image")
    assert cli.main(["predict", model, paths[0], str(bad)]) == 1
    assert f"error: {bad}: is not an image" in capsys.readouterr().out
    (tmp_path / "empty").mkdir()
    assert cli.main(["predict", model, str(tmp_path / "empty")]) == 1
    assert "empty: no image in this folder" in capsys.readouterr().err
    assert cli.main(["predict", model, paths[0], "--output", "answers.xlsx"]) == 1
    assert "written as .csv or .json" in capsys.readouterr().err


def test_folders_are_searched(tmp_path):
    for name in ("b.PNG", "sub/a.tif", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = predictor.find_images([tmp_path, tmp_path / "notes.txt"])
    assert found == [tmp_path / name for name in ("b.PNG", "sub/a.tif", "notes.txt")]


def test_names_with_html_or_control_characters_are_escaped(network, paths, tmp_path):
    path = tmp_path / "<img src=x onerror=alert(1)>\x1b[31m$x$.png"
    shutil.copy(paths[0], path)
    frame = predictor.predict(network, [path])
    page = predicted.as_html(upload.named(frame))
    assert "<img" not in page and "&lt;img" in page
    assert "\x1b" not in predicted.as_text(frame)
    assert predicted.draw(network, frame) is not None


def test_uploaded_files_are_predicted_and_not_kept(network, paths):
    content = pathlib.Path(paths[0]).read_bytes()
    uploads = (
        {"name": "cell.png", "content": memoryview(content)},
        {"name": "../../cell.png", "content": content},
        {"name": "C:\\cells\\broken.png", "content": b"no image"},
    )
    with upload.saved(uploads) as saved:
        frame = upload.named(predictor.predict(network, saved))
    assert not any(path.exists() for path in saved)
    assert frame["image"].tolist() == ["cell.png", "cell.png", "broken.png"]
    assert frame["error"][2].startswith("broken.png: is not an image")
    expected = predictor.predict(network, [paths[0]])["prob_ALL"][0]
    assert frame["prob_ALL"][:2].tolist() == pytest.approx([expected] * 2)
    with pytest.raises(ValueError, match="no usable file name"), upload.saved([{"name": "../"}]):
        pass


def test_the_form_answers_a_click(network, paths):
    form = upload.form(network)
    (files, button), place = form.children[0].children, form.children[1]
    button.click()
    assert place.children[0].value == "Choose one or more image files first."
    content = memoryview(pathlib.Path(paths[0]).read_bytes())
    facts = {"type": "image/png", "size": len(content), "last_modified": NOW}
    files.set_trait("value", ({"name": "<b>cell.png", "content": content, **facts},))
    button.click()
    table, picture = place.children
    assert "&lt;b&gt;cell.png" in table.value and "not for clinical use" in table.value
    assert PIL.Image.open(io.BytesIO(picture.value)).width > 100
    files.set_trait("value", ({"name": "../", "content": b"", **facts},))
    button.click()
    assert "no usable file name" in place.children[0].value
