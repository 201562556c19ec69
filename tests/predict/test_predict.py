"""Saved models used on images again: the same answers as in the test, warnings, and their forms."""

import dataclasses
import datetime
import io
import json
import pathlib
import re
import shutil

import numpy as np
import pandas as pd
import PIL.Image
import pytest

from leukkit import cli, datasets, explain, images, predict, results, splits, training
from leukkit.classifiers import folds
from leukkit.datasets import decode
from leukkit.metrics import calibration
from leukkit.predict import output
from leukkit.predict.output import saved
from leukkit.saved import ModelFileError
from leukkit.schemas import Recipe
from tests.predict.conftest import change
from tests.training import tiny

NOW = datetime.datetime.now(datetime.UTC)


@pytest.mark.parametrize("folder", ["network", "svm", "svm-scaled", "rf", "xgboost"], indirect=True)
def test_a_model_says_again_what_it_said_in_the_test_but_calibrated(folder, tmp_path):
    if is_network := (folder / "model.keras").exists():
        folder = shutil.copytree(folder, tmp_path / "fold-0")
        change(folder, temperature=2.0)
    written, cells = results.read_fold(folder), datasets.load("sample-cells").set_index("image_id")
    model = predict.load(folder)
    found = predict.predict(model, list(cells.loc[written["image_id"], "path"]))
    temperature = model.record.temperature
    assert (found["calibrated"] == (temperature is not None)).all()
    expected = calibration.scale_temperature(written, temperature or 1.0)
    names = [f"prob_{one}" for one in model.classes]
    np.testing.assert_allclose(found[names], expected[names], atol=1e-4)
    np.testing.assert_allclose(found["confidence"], expected[names].max(axis=1), atol=1e-4)
    if is_network:
        text = "\n".join(predict.describe(model))
        of = results.read_fold(folder, "validation_predictions")["subject"]
        told = f"temperature 2.00, from {len(of)} validation images of {of.nunique()} subjects"
        assert told in text
        why = "no sets of classes: .*% of the validation images are of subjects also trained on"
        assert re.search(why, text) and found["set"].isna().all()
    else:
        assert found["out_of_distribution"].mean() < 0.1


@pytest.mark.parametrize("engine", ["network", "classifier"])
def test_a_stain_is_fitted_to_the_training_images_of_each_fold_and_kept(engine, tmp_path):
    cells, stain = tiny.cells(), {"image_size": 32, "stain": "reinhard"}
    table = {"split": "stratified", "folds": 2}
    split = tiny.split(cells, splits.folds(cells, table))
    if engine == "network":
        recipe = Recipe(network="tiny", phases=[*tiny.PHASES], batch_size=8, select="last", **stain)
        with tiny.installed():
            run = training.cross_validate(split, recipe, name="stained", results_dir=tmp_path)
    else:
        recipe = Recipe(network="mobilenet-0.25", classifier="rf", **stain)
        run = folds.cross_validate(split, recipe, name="stained", results_dir=tmp_path)
    model = predict.load(run / "fold-0")
    of_fold = [images.preparation(recipe, 0, cells.iloc[fold.train]).stain for fold in split.folds]
    assert model.record.stain == of_fold[0] != of_fold[1]
    assert results.read_record(run / "fold-1").configuration.recipe["stain"] == "reinhard"
    written = results.read_fold(run / "fold-0")
    paths = cells.set_index("image_id").loc[written["image_id"], "path"]
    found, names = predict.predict(model, list(paths)), ["prob_healthy", "prob_ALL"]
    np.testing.assert_allclose(found[names], written[names], atol=1e-4)
    if engine == "network":
        pixels, *_ = explain.explain_fold(run / "fold-0", cells, network=model.network)
        shown = images.load(cells, images.Preparation(32, stain=of_fold[0]))[:]
        assert all((one == shown).all(axis=(1, 2, 3)).any() for one in pixels)


def test_sets_of_classes_hold_what_is_likely_enough_at_the_level(classifiers, paths):
    model = predict.load(classifiers["svm"])
    subjects, limits = model.record.subjects, model.record.limits
    # Of so many subjects and the new one, no more than so many in so many plus one.
    promised = [percent * (subjects + 1) <= 100 * subjects for percent in range(50, 100)]
    assert [limit is not None for limit in limits] == promised and not promised[-1]
    assert (predict.predict(model, paths, level=0.99)["set"] == "{healthy, ALL}").all()
    text = f"with {subjects} validation subjects no set smaller than all classes"
    assert text in "\n".join(predict.describe(model, level=0.99))
    for _, row in predict.predict(model, paths, level=0.5).iterrows():
        inside = [name for name in model.classes if 1 - row[f"prob_{name}"] <= limits[0]]
        assert row["set"] == (f"{{{', '.join(inside)}}}" if inside else "none")
    text = "\n".join(predict.describe(model, level=0.5))
    assert "hold the true one for 50% of the images of new subjects" in text
    assert f"of a probability of {1 - limits[0]:.3f} or more is in the set" in text
    with pytest.raises(ValueError, match="sets are kept for whole percents"):
        predict.predict(model, paths, level=0.955)


def test_strange_images_are_warned_about(classifiers, tmp_path):
    original = np.array(PIL.Image.open(datasets.load("sample-cells")["path"][0]))
    white = np.full_like(original, 255)
    for name, pixels in {"inverted": 255 - original, "white": white}.items():
        PIL.Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    model = predict.load(classifiers["svm"])
    strange = predict.predict(model, [tmp_path / "inverted.png", tmp_path / "white.png"])
    assert strange["out_of_distribution"].all(), strange["distance"] / strange["threshold"]
    assert (strange["distance"] > strange["threshold"]).all()
    assert strange["warning"].str.startswith("out of distribution").all()


def test_images_of_another_size_are_predicted_with_a_warning(network, paths, tmp_path):
    PIL.Image.open(paths[0]).resize((300, 200)).save(tmp_path / "large.tif")
    row = predict.predict(network, [tmp_path / "large.tif"]).iloc[0]
    assert row["predicted"] in network.classes
    assert "300 x 200 pixels, training images are 112 x 112" in row["warning"]


def test_a_gray_image_is_answered_if_there_were_such_in_training(network, paths, tmp_path):
    PIL.Image.open(paths[0]).convert("L").save(tmp_path / "gray.png")
    refused = predict.predict(network, [tmp_path / "gray.png"]).iloc[0]
    assert "is gray, and the model was trained on images in color" in refused["error"]
    of_gray = dataclasses.replace(network, record=network.record.model_copy(update={"gray": True}))
    answered = predict.predict(of_gray, [tmp_path / "gray.png"]).iloc[0]
    assert answered["predicted"] in network.classes and pd.isna(answered["error"])


def test_an_image_is_decoded_once_and_known_by_its_whole_pixels(network, paths, monkeypatch):
    told, decoded = decode.decode, []
    monkeypatch.setattr(decode, "decode", lambda *of: decoded.append(of) or told(*of))
    seen = predict.predict(network, paths)["seen"]
    assert len(decoded) == len(paths) and seen.any()
    cropped = network.record.model_copy(update={"crop": 64})
    found = predict.predict(dataclasses.replace(network, record=cropped), paths)
    assert found["seen"].tolist() == seen.tolist() and found["error"].isna().all()


def test_an_image_without_a_nucleus_is_named(network, tmp_path):
    PIL.Image.new("RGB", (112, 112), "white").save(tmp_path / "blank.png")
    of_nuclei = dataclasses.replace(network, preparation=images.Preparation(32, {}))
    error = predict.predict(of_nuclei, [tmp_path / "blank.png"])["error"][0]
    assert error.startswith(f"{tmp_path / 'blank.png'}: no nucleus found (cannot form k=3 clusters")


def test_damaged_images_are_named_and_the_others_come_out(network, paths, tmp_path):
    text, cut, gone = (tmp_path / name for name in ("text.png", "cut.png", "gone.png"))
    text.write_text("no image")
    whole = pathlib.Path(paths[1]).read_bytes()
    cut.write_bytes(whole[: len(whole) // 2])
    frame = predict.predict(network, [paths[0], text, cut, gone, paths[1]], batch_size=2)
    assert frame["error"].isna().tolist() == [True, False, False, False, True]
    assert frame["predicted"].isna().tolist() == [False, True, True, True, False]
    for path, part in ((text, "is not an image"), (cut, "cut short"), (gone, "no such file")):
        message = frame.set_index("image").loc[str(path), "error"]
        assert str(path) in message and part in message
    alone = predict.predict(network, [paths[1]])["prob_ALL"][0]
    assert frame["prob_ALL"][4] == pytest.approx(alone, abs=1e-6)
    with pytest.raises(ValueError, match="none of the 3 images could be read: nothing to draw"):
        predict.draw(network, frame[1:4])


def test_a_model_that_gives_no_numbers_is_refused(network, paths, monkeypatch):
    monkeypatch.setattr(network, "answer", lambda pixels: (np.zeros((1, 8)), [[np.nan, 1]]))
    with pytest.raises(ModelFileError, match=r"fold-0: the model gives values that are not finite"):
        predict.predict(network, paths[:1])


def test_without_validation_nothing_is_called_calibrated(tmp_path):
    frame = tiny.cells(16)
    frame.attrs |= {"gray": True}
    divided = tiny.split(frame, splits.folds(frame, {"split": "stratified", "folds": 2}))
    folder = tiny.run_folds(divided, tmp_path, select="last")
    model = predict.load(folder / "fold-0")
    row = predict.predict(model, [frame["path"][0]]).iloc[0]
    assert model.record.gray and not row["calibrated"]
    assert row[["distance", "out_of_distribution", "set"]].isna().all()
    text = "\n".join(predict.describe(model))
    for what in ("not calibrated", "no warning for strange images", "no sets of classes"):
        assert f"{what}: this run set no validation images aside" in text
    assert "of the images are of subjects also in training" in text  # stratified by image


def test_grad_cam_is_refused_for_a_classifier(classifiers, paths):
    with pytest.raises(ValueError, match="Grad-CAM is not defined for this model, rf on"):
        predict.look(predict.load(classifiers["rf"]), paths)


def test_maps_are_checked_and_those_that_fail_are_titled_so(network, paths, tmp_path):
    damaged = tmp_path / "damaged.png"
    damaged.write_text("no image")
    frame = predict.check_maps(network, predict.predict(network, [paths[0], damaged, paths[1]]))
    expected = explain.checks(network.network, *predict.look(network, [paths[0], paths[1]]))
    assert frame["map_passes"].isna().tolist() == [False, True, False]
    np.testing.assert_allclose(frame["map_deletion"][[0, 2]], expected["deletion"], atol=1e-6)
    told = [explain.FLAT, pd.NA, pd.NA]
    passes = pd.array([False, pd.NA, True], "boolean")
    frame = frame.assign(map_passes=passes, map_fails=pd.array(told, "string"))
    table = predict.as_text(frame)
    assert "fails: same everywhere" in table and "passes" in table
    predict.write(frame, network, tmp_path / "out.csv")
    assert pd.read_csv(tmp_path / "out.csv")["map_fails"][0] == explain.FLAT
    first, second = (ax.get_title() for ax in predict.draw(network, frame)[0])
    assert first.endswith("map fails:\nsame everywhere") and "fails" not in second
    unread = predict.predict(network, [damaged])
    assert predict.check_maps(network, unread) is unread


# ---------------------------------------------------------------------------------- what is shown


def test_the_command_writes_each_file(network_run, paths, tmp_path, capsys, monkeypatch):
    asked, told, model = [], explain.grad_cam, str(network_run / "fold-0" / "model.keras")
    monkeypatch.setattr(explain, "grad_cam", lambda *of: asked.extend(of[1]) or told(*of))
    for name in ("out.csv", "out.json"):
        arguments = ["predict", model, *paths, "--output", str(tmp_path / name)]
        assert cli.main([*arguments, "--grad-cam", str(tmp_path / "maps")]) == 0
    assert len(asked) == 2 * len(paths)  # each map is made once
    text = capsys.readouterr().out
    assert "Research software, not for clinical use." in text and " subjects; fitted to " in text
    rows = json.loads((tmp_path / "out.json").read_text())["images"]
    assert [row["image"] for row in rows] == paths
    assert all(isinstance(row["map_passes"], bool) for row in rows) and " Grad-CAM " in text
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
    litter = "._b.PNG", "__MACOSX/b.PNG"
    for name in ("b.PNG", "sub/a.tif", "notes.txt", "../elsewhere/c.bmp", *litter):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "link").symlink_to(tmp_path / "../elsewhere")  # as `datasets.load` follows it
    found = predict.find_images([tmp_path, tmp_path / "notes.txt"])
    expected = ("b.PNG", "link/c.bmp", "sub/a.tif", "notes.txt")
    assert found == [tmp_path / name for name in expected]


def test_names_with_html_or_control_characters_are_escaped(network, paths, tmp_path):
    path = tmp_path / "<img src=x onerror=alert(1)>\x1b[31m$x$.png"
    shutil.copy(paths[0], path)
    frame = predict.predict(network, [path])
    page = predict.as_html(predict.named(frame))
    assert "<img" not in page and "&lt;img" in page
    assert "\x1b" not in predict.as_text(frame)
    assert predict.draw(network, frame) is not None


@pytest.mark.parametrize("name", ["=1+1.png", "@cell.png", "-.png"])
def test_a_spreadsheet_computes_no_name_of_a_file(network, paths, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    shutil.copy(paths[0], name)
    pathlib.Path(f"+{name}").write_text("no image")
    frame = predict.predict(network, [name, f"+{name}"])
    predict.write(frame, network, "answers.csv")
    written = pd.read_csv("answers.csv")
    assert written["image"].tolist() == [f"'{name}", f"'+{name}"]
    assert written["error"][1].startswith(f"'+{name}: is not an image")
    assert frame["image"].tolist() == [name, f"+{name}"]


def test_uploaded_files_are_predicted_and_not_kept(network, paths):
    content = pathlib.Path(paths[0]).read_bytes()
    uploads = (
        {"name": "cell.png", "content": memoryview(content)},
        {"name": "../../cell.png", "content": content},
        {"name": "C:\\cells\\broken.png", "content": b"no image"},
    )
    with saved(uploads) as files:
        frame = predict.named(predict.predict(network, files))
    assert not any(path.exists() for path in files)
    assert frame["image"].tolist() == ["cell.png", "cell.png", "broken.png"]
    assert frame["error"][2].startswith("broken.png: is not an image")
    expected = predict.predict(network, [paths[0]])["prob_ALL"][0]
    assert frame["prob_ALL"][:2].tolist() == pytest.approx([expected] * 2)


def test_an_upload_that_is_too_large_is_refused():
    upload = {"name": "smear.png", "content": bytes(51 * 2**20)}
    with pytest.raises(ValueError, match=r"smear\.png has 51 MB; at most 50 MB"), saved([upload]):
        pass


def test_the_form_answers_a_click(network, paths):
    shown = predict.form(network)
    (files, button), place = shown.children[0].children, shown.children[1]
    button.click()
    assert place.children[0].value == "Choose one or more image files first."
    content = memoryview(pathlib.Path(paths[0]).read_bytes())
    facts = {"type": "image/png", "size": len(content), "last_modified": NOW}
    files.set_trait("value", ({"name": "<b>cell.png", "content": content, **facts},))
    button.click()
    table, picture = place.children
    assert "&lt;b&gt;cell.png" in table.value and "not for clinical use" in table.value
    assert PIL.Image.open(io.BytesIO(picture.value)).width > 100
    older = {"<b>cell.png": {"metadata": facts, "content": content}}  # ipywidgets 7
    assert output._answer(network, older)[0].value == table.value
    files.set_trait("value", ({"name": "../", "content": b"", **facts},))
    button.click()
    assert "no usable file name" in place.children[0].value
