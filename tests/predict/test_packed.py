"""Saved models that go to others: whole in their folder, packed into one file, exported."""

import json
import pathlib
import shutil
import warnings
import zipfile

import numpy as np
import pandas as pd
import PIL.Image
import pytest

from leukkit import cli, datasets, models, predict, results
from leukkit.metrics import calibration
from leukkit.predict import exported
from leukkit.saved import ModelFileError, packed
from tests.predict.conftest import SMALL, change, fitted

IMAGES = datasets.load("sample-cells").set_index("image_id")["path"]


@pytest.fixture(scope="module")
def weighty(tmp_path_factory):
    """Return the fold of a classifier whose backbone's weights came from a file that is gone."""
    folder = tmp_path_factory.mktemp("results")
    weights = folder / "of mine.weights.h5"
    models.build_backbone("mobilenet-0.25", 64, None, seed=3).save_weights(weights)
    profile = SMALL.replace('weights = "none"', f'weights = "{weights}"')
    made = fitted(folder, profile, "rf")["rf"]
    weights.unlink()
    return made


@pytest.fixture(scope="module")
def file(network_run, tmp_path_factory):
    """Return a packed network."""
    path = tmp_path_factory.mktemp("packed") / "model.leukkit"
    assert cli.main(["models", "pack", str(network_run / "fold-0"), "-o", str(path)]) == 0
    return path


def members(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_weights_under_a_classifier_are_kept_with_it(weighty):
    model, written = predict.load(weighty), results.read_fold(weighty)
    found = predict.predict(model, list(IMAGES[written["image_id"]]))
    expected = calibration.scale_temperature(written, model.record.temperature or 1.0)
    np.testing.assert_allclose(found["prob_ALL"], expected["prob_ALL"], atol=1e-4)


def test_other_weights_in_a_classifiers_folder_are_refused(weighty, tmp_path):
    folder = shutil.copytree(weighty, tmp_path / "fold-0")
    path = folder / "backbone.weights.h5"
    models.build_backbone("mobilenet-0.25", 64, None, seed=4).save_weights(path)
    with pytest.raises(ModelFileError, match=r"backbone\.weights\.h5 is not the file that"):
        predict.load(folder)
    change(folder, **{f"sha256__{path.name}": packed.sha256(path)})
    with pytest.raises(ModelFileError, match="holds other weights than the model was made with"):
        predict.load(folder)


@pytest.mark.parametrize("folder", ["network", "svm", "weighty"], indirect=True)
def test_a_packed_model_answers_as_its_folder_does(folder, paths, tmp_path, capsys):
    path, again = tmp_path / "a.leukkit", tmp_path / "b.leukkit"
    for one in (path, again):
        assert cli.main(["models", "pack", str(folder), "-o", str(one)]) == 0
    assert path.read_bytes() == again.read_bytes()
    both = predict.load(path), predict.load(folder)
    pd.testing.assert_frame_equal(*(predict.predict(model, paths) for model in both))
    one, other = map(predict.describe, both)
    assert one == other  # with what leaked in the model's own test
    home = str(folder.parents[4]).encode()
    for member, content in members(path).items():
        assert home not in content and str(pathlib.Path.cwd()).encode() not in content, member
    assert b"Not for clinical use" in members(path)["CARD.md"]
    assert cli.main(["predict", str(path), paths[0], "-o", str(tmp_path / "out.json")]) == 0
    assert json.loads((tmp_path / "out.json").read_text())["model"]["folder"] == str(path)


def test_a_model_is_packed_whole_or_not_at_all(network_run, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(packed.shutil, "copyfileobj", full)
    with pytest.raises(OSError, match="No space left"):
        packed.pack(network_run / "fold-0", tmp_path / "model.leukkit", "a card")
    assert not [*tmp_path.iterdir()]
    with pytest.raises(ValueError, match=r"model\.zip: .*let it end in \.leukkit"):
        packed.pack(network_run / "fold-0", tmp_path / "model.zip", "a card")


def write(path, content, change=lambda member: None, kind=zipfile.ZIP_STORED):
    """Write an archive of (name, bytes); ``change`` gets each member's header."""
    with zipfile.ZipFile(path, "w", kind) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a name twice
        for name, text in content:
            member = zipfile.ZipInfo(name)
            member.compress_type = kind
            change(member)
            archive.writestr(member, text)


def encrypted(path):
    """Set the flag in both headers of every member."""
    content = bytearray(path.read_bytes())
    for sign, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = -1
        while (start := content.find(sign, start + 1)) >= 0:
            content[start + at] |= 1
    path.write_bytes(content)


def overlapping(path, content):
    """Let the directory name the largest member's bytes for all, at its size."""
    write(path, content)
    with zipfile.ZipFile(path, "a") as archive:
        largest = max(archive.filelist, key=lambda member: member.file_size)
        for member in archive.filelist:
            member.header_offset, member.CRC = largest.header_offset, largest.CRC
            member.file_size = member.compress_size = largest.file_size
        archive._didModify = True


LINK = "external_attr", 0o120777 << 16
CRAFTED = {
    "a way out": lambda path, it: write(path, [*it, ("../out", b"x")]),
    "a path from the root": lambda path, it: write(path, [*it, ("/tmp/out", b"x")]),
    "an unknown name": lambda path, it: write(path, [*it, ("setup.py", b"x")]),
    "a folder": lambda path, it: write(path, [*it, ("model.keras/", b"")]),
    "two models": lambda path, it: write(path, [*it, ("model.npz", b"x")]),
    "a name twice": lambda path, it: write(path, [*it, it[0]]),
    "no record": lambda path, it: write(path, [one for one in it if "json" not in one[0]]),
    "no hashes": lambda path, it: write(path, [one for one in it if "SUMS" not in one[0]]),
    "a link": lambda path, it: write(path, it, lambda one: setattr(one, *LINK)),
    "compressed": lambda path, it: write(path, it, kind=zipfile.ZIP_DEFLATED),
    "encrypted": lambda path, it: (write(path, it), encrypted(path)),
    "one on another": overlapping,
    "another card": lambda path, it: write(path, [(n, t + b"!" * (n == "CARD.md")) for n, t in it]),
    "other hashes": lambda path, it: write(path, [(n, t + b"x" * ("SUMS" in n)) for n, t in it]),
    "cut": lambda path, it: (write(path, it), path.write_bytes(path.read_bytes()[:-100])),
    "a byte": lambda path, it: (
        write(path, it),
        path.write_bytes(path.read_bytes().replace(b"features", b"feetures", 1)),
    ),
    "no archive": lambda path, it: path.write_bytes(b"no zip archive"),
}


@pytest.mark.parametrize("case", CRAFTED)
def test_a_crafted_file_is_refused(file, case, tmp_path):
    path = tmp_path / "model.leukkit"
    write(path, members(file).items())
    assert predict.load(path).folder == path  # what is refused below is the change alone
    CRAFTED[case](path, [*members(file).items()])
    with pytest.raises(ModelFileError, match=r"model\.leukkit is damaged, was changed"):
        predict.load(path)
    assert [*tmp_path.iterdir()] == [path] and not pathlib.Path("/tmp/out").exists()


def test_an_error_names_the_packed_file_and_not_where_it_was_unpacked(file, tmp_path):
    content = members(file)
    content["predictor.json"] = content["predictor.json"].replace(b'"format": 4', b'"format": 3')
    names = [name for name in content if name != "SHA256SUMS"]
    sums = [f"{packed.hashlib.sha256(content[name]).hexdigest()}  {name}\n" for name in names]
    content["SHA256SUMS"] = "".join(sums).encode()
    write(tmp_path / "old.leukkit", content.items())
    old = r"old\.leukkit: predictor\.json was written in format 3"
    with pytest.raises(ModelFileError, match=old):
        predict.load(tmp_path / "old.leukkit")


# ------------------------------------------------------------------------- images it was made with


@pytest.mark.parametrize("folder", ["network", "svm"], indirect=True)
def test_a_model_knows_the_images_it_was_made_with(folder, tmp_path, capsys):
    test, train = (
        IMAGES[results.read_fold(folder, part)["image_id"].unique()[:4]]
        for part in ("predictions", "training_predictions")
    )
    PIL.Image.open(train.iloc[0]).save(tmp_path / "renamed.tif")  # the pixels count
    asked = [*test, *train, tmp_path / "renamed.tif"]
    frame = predict.predict(predict.load(folder), asked)
    known = frame["warning"].str.contains("in this model's training").fillna(False)
    assert frame["seen"].tolist() == known.tolist() == [False] * 4 + [True] * 5
    assert predict.as_text(frame).count("5 of 9 images were in the model's training") == 1


# --------------------------------------------------------------------------------------- exported


@pytest.mark.parametrize("form", ["saved_model", "onnx"])
def test_an_exported_network_answers_as_predict_does(copy, paths, tmp_path, form):
    for name in exported.ONNX if form == "onnx" else ():
        pytest.importorskip(name)
    change(copy, temperature=2.0)
    out = tmp_path / "out"
    assert cli.main(["models", "export", str(copy), "-o", str(out), "--format", form]) == 0
    model = predict.load(copy)
    pixels, _ = predict.look(model, paths)
    if form == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(out / "model.onnx")
        found = session.run(None, {session.get_inputs()[0].name: pixels})[0]
    else:
        import tensorflow as tf

        loaded = tf.saved_model.load(str(out))
        found = loaded.serve(pixels).numpy()
    names = json.loads((out / "predictor.json").read_text())["classes"]
    expected = predict.predict(model, paths)[[f"prob_{one}" for one in names]]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    with pytest.raises(FileExistsError, match="out is there already"):
        predict.export(model, out)


def test_an_export_that_answers_otherwise_is_not_kept(network, tmp_path, monkeypatch):
    told = exported.answers
    monkeypatch.setattr(exported, "answers", lambda *given: [told(*given)[0] + 2e-5])
    with pytest.raises(ValueError, match="answers otherwise than the model, by up to 2e-05"):
        predict.export(network, tmp_path / "out")
    assert not [*tmp_path.iterdir()]


def test_what_cannot_be_exported_is_refused(network, classifiers, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"is rf on features, which Keras cannot export"):
        predict.export(predict.load(classifiers["rf"]), tmp_path / "out")
    monkeypatch.setattr(exported, "ONNX", ("no_such_package",))
    with pytest.raises(ValueError, match=r"ONNX needs no_such_package: pip install 'leukkit\[onnx"):
        predict.export(network, tmp_path / "out", "onnx")
