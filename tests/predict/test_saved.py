"""Files beside a saved model that cannot be trusted or read: each is refused, and says why."""

import pickle
import shutil
import zipfile

import numpy as np
import pytest

from leukkit import classifiers as fitting
from leukkit import models, predict
from leukkit.models.weights import sha256
from leukkit.saved import ModelFileError, classifier_files
from tests.predict.conftest import change
from tests.report import small_results


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
    (folder / "model.npz").write_bytes(pickle.dumps(Malicious(mark)))
    with pytest.raises(ModelFileError, match="is not the file that"):
        predict.load(folder)
    sign(folder, "model.npz")
    with pytest.raises(ModelFileError, match=r"model\.npz is damaged.*no zip archive"):
        predict.load(folder)
    assert not mark.exists()


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
    with pytest.raises(ModelFileError, match=r"(?s)model\.keras cannot be used.*safe_mode|unsafe"):
        predict.load(copy)
    assert not mark.exists()


@pytest.fixture(scope="module")
def fitted():
    """Return one classifier of each kind, and the features that it was fitted to."""
    features = np.random.default_rng(0).standard_normal((60, 4)).astype(np.float32)
    labels = np.where(features[:, 0] > 0, "ALL", np.where(features[:, 1] > 0, "benign", "healthy"))
    svm = fitting.grid_search_svm(features, labels, (1,), (0.1,), ("rbf",), scale=True)
    forest = fitting.fit_random_forest(features, labels)
    return {"svm": svm, "rf": forest, "xgboost": fitting.fit_xgboost(features, labels)}, features


@pytest.mark.parametrize("name", ["svm", "rf", "xgboost"])
def test_a_saved_classifier_answers_as_the_fitted_one(fitted, name, tmp_path):
    (made, features), classes = fitted, ["healthy", "ALL", "benign"]
    classifier_files.save(made[name], tmp_path / "model.npz")
    read = classifier_files.load(tmp_path / "model.npz")
    for rows in (features, features[::-1] * 3):
        expected = fitting.class_scores(made[name], rows, classes)
        found = fitting.class_scores(read, rows, classes)
        np.testing.assert_allclose(found, expected, atol=1e-6)


CRAFTED = {
    "a count below 0": ("svm", "counts", lambda it: [-1, *it[1:-1], it[-1] + it[0] + 1]),
    "other counts": ("svm", "counts", lambda it: [*it[:-1], it[-1] + 1]),
    "fewer vectors": ("svm", "vectors", lambda it: it[1:]),
    "fewer coefficients": ("svm", "coefficients", lambda it: it[:1]),
    "fewer intercepts": ("svm", "intercepts", lambda it: it[1:]),
    "another kernel": ("svm", "kernel", lambda it: "sigmoid"),
    "a scale of zero": ("svm", "scale", np.zeros_like),
    "no numbers": ("svm", "gamma", lambda it: np.nan),
    "a child that is not there": ("rf", "left", lambda it: np.where(it < 0, it, 10**9)),
    "a circle": ("rf", "right", lambda it: np.minimum(it, 0)),
    "a root that is not there": ("rf", "roots", lambda it: it - 10**9),
    "a feature that is not there": ("xgboost", "feature", lambda it: it + 4),
    "a child before its parent": ("xgboost", "left", lambda it: it[::-1]),
    "fewer leaves": ("xgboost", "values", lambda it: it[1:]),
    "fewer columns": ("xgboost", "base", lambda it: it[1:]),
    "a class twice": ("xgboost", "classes", lambda it: it[[0, 0, 1]]),
    "objects": ("rf", "feature", lambda it: np.array([Malicious("was here")], dtype=object)),
    "text for numbers": ("rf", "values", lambda it: it.astype(str)),
}


@pytest.mark.parametrize("case", CRAFTED)
def test_a_crafted_classifier_is_refused_before_it_answers(fitted, case, tmp_path):
    name, array, change_it = CRAFTED[case]
    path = tmp_path / "model.npz"
    classifier_files.save(fitted[0][name], path)
    with np.load(path) as file:
        kept = dict(file)
    np.savez(path, **kept | {array: np.asarray(change_it(kept[array]))})
    with pytest.raises(ModelFileError, match=r"model\.npz is damaged, was changed, or is no model"):
        classifier_files.load(path)


def test_a_file_that_grows_in_memory_is_refused(copy, tmp_path):
    np.savez_compressed(tmp_path / "model.npz", classes=np.zeros(10**7))
    with pytest.raises(ModelFileError, match=r"classes\.npy in it is compressed"):
        classifier_files.load(tmp_path / "model.npz")
    network_with(copy, str, zipfile.ZIP_DEFLATED)
    with pytest.raises(ModelFileError, match=r"model\.keras .* in it is compressed"):
        predict.load(copy)


def network_with(copy, change_it, kind=zipfile.ZIP_STORED):
    """Write another ``config.json`` into a saved network; ``change_it`` gets and gives the text."""
    with zipfile.ZipFile(copy / "model.keras") as file:
        pages = {name: file.read(name) for name in file.namelist()}
    pages["config.json"] = change_it(pages["config.json"].decode()).encode()
    with zipfile.ZipFile(copy / "model.keras", "w", kind) as file:
        for name, content in pages.items():
            file.writestr(name, content)
    sign(copy, "model.keras")


@pytest.mark.parametrize(
    ("change_it", "message"),
    [
        (lambda text: "[" * 100_000, "recursion"),
        (lambda text: text.replace('"keras.src.models.functional"', '"no_such_module"'), "no_such"),
        (lambda text: text.replace('"filters": 8', '"filters": 10000000'), "parameters"),
        (lambda text: text.replace('"filters": 8', '"filters": "many"'), "many"),
        (lambda text: text.replace('"name": "features"', '"name": "other"'), "other|features"),
        (lambda text: "{}", ""),
    ],
)
def test_a_crafted_network_is_refused(copy, change_it, message):
    network_with(copy, change_it)
    with pytest.raises(ModelFileError, match=rf"(?s)model\.keras cannot be used.*({message})"):
        predict.load(copy)


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("means", np.zeros((2, 3), np.float32)),
        ("means", np.zeros((3, 8), np.float32)),
        ("variances", np.array([-1.0])),
        ("rest", np.array(np.inf)),
    ],
)
def test_crafted_embeddings_are_refused(copy, name, array):
    with np.load(copy / "predictor.npz") as file:
        kept = dict(file)
    np.savez(copy / "predictor.npz", **kept | {name: array})
    sign(copy, "predictor.npz")
    wrong = r"predictor\.npz is damaged|model\.keras cannot be used"
    with pytest.raises(ModelFileError, match=wrong):
        predict.load(copy)


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


def test_a_record_that_is_none_or_missing_is_named(copy):
    for text in ("{", "[]", '{"format": 4}'):
        (copy / "predictor.json").write_text(text)
        with pytest.raises(ModelFileError, match=r"predictor\.json.*(is no JSON|format|missing)"):
            predict.load(copy)
    (copy / "predictor.json").unlink()
    with pytest.raises(ModelFileError, match=r"no predictor\.json: an older version.*run again"):
        predict.load(copy / "model.keras")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"format": 7}, "written in format 7, and this version of leukkit reads 4"),
        ({"classes": ["a", "a"]}, "a class is named twice"),
        ({"classes": ["a", "b", "c"]}, "the classes are others"),
        ({"temperature": "warm"}, "temperature: Input should be a valid number, found 'warm'"),
        ({"temperature": -1.0}, "temperature: Input should be greater than 0"),
        ({"limits": [0.5]}, "1 limits of sets, and no_sets is '.*also trained on'"),
        ({"threshold": None}, r"predictor\.npz is damaged.*it holds"),
        ({"model": "../../etc/passwd"}, r"model: .*found '\.\./\.\./etc/passwd'"),
        ({"sha256": {"../x": "0"}}, r"sha256 names \['\.\./x'\]"),
        ({"surprise": 1}, "unknown field surprise"),
        ({"recipe__segmentation": {"power": 9}}, "predictor.json: .*segmentation.*power"),
        ({"recipe": {}}, "missing field network"),
        ({"recipe__phases": [], "recipe__classifier": "rf"}, "contradict each other"),
        ({"recipe__image_size": 48}, "says 48 pixels and 2 classes"),
        ({"recipe__phases": []}, "a recipe needs phases of training"),
        ({"recipe__stain": "reinhard"}, "a recipe that has one and its statistics go together"),
        ({"stain": [[1.0] * 3]}, "stain: List should have at least 2 items"),
        ({"configuration_hash": "0"}, "holds the files of two runs"),
    ],
)
def test_a_record_that_is_wrong_is_refused(copy, fields, message):
    change(copy, **fields)
    with pytest.raises(ModelFileError, match=message):
        predict.load(copy)


def test_other_weights_under_a_classifier_are_refused(classifiers, tmp_path):
    folder = shutil.copytree(classifiers["rf"], tmp_path / "fold-0")
    change(folder, weights="others")
    with pytest.raises(ModelFileError, match=r"weights none of mobilenet-0\.25 are other ones"):
        predict.load(folder)
    change(folder, recipe__weights="../weights.h5")  # a file that anybody may have
    with pytest.raises(models.WeightsError, match=r"no weights file \.\./weights\.h5 for mobile"):
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
    told = {"changes": {"members": ["a", "b"]}, "selected": {"densenet121": 0.5, "xception": 0.5}}
    fold = small_results.write(tmp_path, run, small_results.FIRST, **told)
    with pytest.raises(FileNotFoundError, match=r"is an ensemble.*densenet121, xception"):
        predict.load(fold)
