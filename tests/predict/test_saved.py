"""Files beside a saved model that cannot be trusted or read: each is refused, and says why."""

import json
import pickle
import shutil
import zipfile

import numpy as np
import pytest

from leukkit import classifiers as fitting
from leukkit import models, predict
from leukkit.models.weights import sha256
from leukkit.saved import ModelFileError, classifier_files
from tests.report import small_results


def change(folder, **fields):
    """Change fields of the record; a field of its recipe is named ``recipe__<field>``."""
    record = json.loads((folder / "predictor.json").read_text())
    for name, value in fields.items():
        part, _, inner = name.partition("__")
        record[part] = record[part] | {inner: value} if inner else value
    (folder / "predictor.json").write_text(json.dumps(record))


def sign(folder, name):
    """Enter the file's own hash, as whoever exchanges a model would."""
    change(folder, **{f"sha256__{name}": sha256(folder / name)})


class Malicious:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def test_a_pickle_in_the_place_of_the_model_does_not_run(classifiers, tmp_path):
    folder = shutil.copytree(classifiers["rf"], tmp_path / "fold-0")
    mark = tmp_path / "was here"
    (folder / "model.skops").write_bytes(pickle.dumps(Malicious(mark)))
    with pytest.raises(ModelFileError, match="is not the file that"):
        predict.load(folder)
    sign(folder, "model.skops")
    with pytest.raises(ModelFileError, match=r"model\.skops is no skops file.*pickle"):
        predict.load(folder)
    assert not mark.exists()


def test_a_skops_file_with_a_foreign_type_is_refused_by_its_name(tmp_path):
    import skops.io

    mark = tmp_path / "was here"
    skops.io.dump({"classes": Malicious(mark)}, tmp_path / "model.skops")
    with pytest.raises(ModelFileError, match=r"not trusted: .*test_saved\.Malicious"):
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
    sign(copy, "model.keras")
    with pytest.raises(ModelFileError, match=r"model\.keras cannot be loaded in Keras's safe mode"):
        predict.load(copy)
    assert not mark.exists()


def test_positions_that_point_out_of_a_model_are_refused(tmp_path):
    features = np.random.default_rng(0).standard_normal((40, 4))
    labels = np.where(features[:, 0] > 0, "ALL", "healthy")
    machine = fitting.grid_search_svm(
        features, labels, (1,), (0.1,), ("rbf",), folds=2
    ).best_estimator_
    machine.machine_.support_[0] = 10_000_000
    classifier_files.save(machine, tmp_path / "model.skops")
    with pytest.raises(ModelFileError, match="KernelMachine is not one that leukkit fits"):
        classifier_files.load(tmp_path / "model.skops")


def test_a_skops_file_without_a_whole_xgboost_model_is_refused(tmp_path):
    import skops.io

    path = tmp_path / "model.skops"
    skops.io.dump({"classes": ["ALL", "healthy"]}, path)
    with pytest.raises(ModelFileError, match=r"holds \['classes'\], not a classifier of leukkit"):
        classifier_files.load(path)
    kept = {"before": [], "classes": ["ALL", "healthy"], "seed": 0}
    skops.io.dump({**kept, classifier_files._XGBOOST: b"no model"}, path)
    with pytest.raises(ModelFileError, match="its XGBoost model is damaged"):
        classifier_files.load(path)


@pytest.mark.parametrize("name", ["model.keras", "predictor.npz"])
def test_a_changed_damaged_or_missing_file_is_noticed(copy, name):
    with (copy / name).open("ab") as file:
        file.write(b"more")
    with pytest.raises(ModelFileError, match=rf"{name} is not the file .*sha256"):
        predict.load(copy)
    (copy / name).write_bytes(b"no zip archive")
    sign(copy, name)
    with pytest.raises(ModelFileError, match=rf"{name} is .*damaged"):
        predict.load(copy)
    (copy / name).unlink()
    with pytest.raises(ModelFileError, match=rf"{name} is gone"):
        predict.load(copy)


def test_arrays_are_read_without_pickle(copy, tmp_path):
    mark = tmp_path / "was here"
    arrays = dict.fromkeys(("means", "directions", "variances", "rest"))
    arrays["means"] = np.array([Malicious(mark)], dtype=object)
    np.savez(copy / "predictor.npz", **arrays)
    sign(copy, "predictor.npz")
    with pytest.raises(ModelFileError, match=r"predictor\.npz is damaged.*allow_pickle"):
        predict.load(copy)
    assert not mark.exists()


def test_a_record_that_is_none_or_missing_is_named(copy):
    for text in ("{", "[]", '{"format": 2}'):
        (copy / "predictor.json").write_text(text)
        with pytest.raises(ModelFileError, match=r"predictor\.json.*(is no JSON|format|missing)"):
            predict.load(copy)
    (copy / "predictor.json").unlink()
    with pytest.raises(ModelFileError, match=r"no predictor\.json: an older version.*run again"):
        predict.load(copy / "model.keras")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"format": 7}, "written in format 7, and this version of leukkit reads 2"),
        ({"format": None}, "written in format None"),
        ({"classes": "ALL"}, "classes: Input should be a valid list, found 'ALL'"),
        ({"classes": ["a", "a"]}, "a class is named twice"),
        ({"classes": ["a", "b", "c"]}, "says 32 pixels and 3 classes"),
        ({"temperature": "warm"}, "temperature: Input should be a valid number, found 'warm'"),
        ({"temperature": -1.0}, "temperature: Input should be greater than 0"),
        ({"threshold": None}, "a threshold and predictor.npz go together"),
        ({"model": "../../etc/passwd"}, r"model: .*found '\.\./\.\./etc/passwd'"),
        ({"sha256": {"../x": "0"}}, r"sha256 names \['\.\./x'\]"),
        ({"surprise": 1}, "unknown field surprise"),
        ({"recipe__segmentation": {"power": 9}}, "predictor.json: segmentation: .*'power'"),
        ({"recipe": {}}, "missing field network"),
        ({"recipe__phases": [], "recipe__classifier": "rf"}, "contradict each other"),
        ({"recipe__image_size": 48}, "says 48 pixels and 2 classes"),
        ({"recipe__phases": []}, "a recipe needs phases of training"),
        ({"configuration_hash": "0"}, "holds the files of two runs"),
    ],
)
def test_a_record_that_is_wrong_is_refused(copy, fields, message):
    change(copy, **fields)
    with pytest.raises(ModelFileError, match=message):
        predict.load(copy)


def test_other_weights_under_a_classifier_are_refused(classifiers, tmp_path, monkeypatch):
    folder = shutil.copytree(classifiers["rf"], tmp_path / "fold-0")
    change(folder, weights="others")
    with pytest.raises(
        ModelFileError, match=r"weights none of mobilenet-0\.25 are other ones than"
    ):
        predict.load(folder)

    def gone(*_):
        raise FileNotFoundError("no file")

    monkeypatch.setattr(models, "weights_id", gone)
    with pytest.raises(FileNotFoundError, match=r"needs the weights of mobilenet-0\.25.*no file"):
        predict.load(folder)


def test_folders_without_a_saved_model_say_where_one_is(network_run, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"give one fold with a saved model: .*fold-0"):
        predict.load(network_run)
    with pytest.raises(FileNotFoundError, match=r"has no saved model.*models_kept"):
        predict.load(network_run / "fold-1")
    with pytest.raises(FileNotFoundError, match="holds no saved model"):
        predict.load(tmp_path)
    with pytest.raises(FileNotFoundError, match="no such folder or model file"):
        predict.load(tmp_path / "gone")


def test_an_ensemble_names_its_members(tmp_path):
    run = small_results.planned("sultana", "leak-free", "dex_ensemble")
    selected = {"densenet121": 0.5, "xception": 0.5}
    changes = {"members": ["a", "b"]}
    fold = small_results.write(
        tmp_path, run, small_results.FIRST, changes=changes, selected=selected
    )
    with pytest.raises(FileNotFoundError, match=r"is an ensemble.*densenet121, xception"):
        predict.load(fold)
