"""A folder of one's own: what it says is read, what it cannot say is asked for."""

import os
import pathlib

import numpy as np
import PIL.Image
import pytest

from leukkit import check, datasets, images, splits
from tests.datasets import trees


def fill(folder, *names):
    """Write an image under each name, each with pixels of its own."""
    for seed, name in enumerate(names):
        trees.write(folder / name, seed, 16 + seed)
    return folder


def table(folder, text, encoding="utf-8"):
    (folder / "labels.csv").write_text(text, encoding=encoding)
    return folder


@pytest.fixture
def two(tmp_path):
    return fill(tmp_path / "cells", "a/1.png", "b/2.bmp", "3.jpg")


LABELS = "file,label,patient\na/1.png,blast,P1\nb/2.bmp,normal,NA\n3.jpg,normal,\n"


def test_one_folder_per_class(tmp_path):
    names = ["normal/a10.png", "normal/a2.png", "blast/a2.png", "blast/.a3.png", "notes.txt"]
    cells = datasets.load(f"{fill(tmp_path, *names[:4])}/")
    assert list(cells["image_id"]) == ["blast/a2.png", "normal/a2.png", "normal/a10.png"]
    assert list(cells["label"]) == ["blast", "normal", "normal"]
    assert cells.attrs["classes"] == ("normal", "blast")  # the last is the positive one
    assert cells.attrs["dataset"] == tmp_path.name
    assert cells[["patient", "subject", "split"]].isna().all(axis=None)


@pytest.mark.parametrize("side", [16, 4096])
@pytest.mark.parametrize("suffix", ["bmp", "png", "jpg", "tif", "webp"])
def test_the_smallest_and_the_largest_images_of_each_format(tmp_path, suffix, side):
    for name in (f"blast/1.{suffix}", f"normal/2.{suffix}"):
        (tmp_path / name).parent.mkdir()
        color = (210, 120, 160) if "normal" in name else (90, 40, 140)
        PIL.Image.new("RGB", (side, side), color).save(tmp_path / name)
    pixels = images.prepare(datasets.load(tmp_path), images.Preparation(32))
    expected = [np.full((32, 32, 3), color) for color in ((90, 40, 140), (210, 120, 160))]
    np.testing.assert_allclose(pixels, expected, atol=4)  # JPEG and WebP lose some


def test_gray_images_are_read_where_the_folder_asks_for_it(tmp_path):
    fill(tmp_path, "normal/1.png", "blast/2.png")
    PIL.Image.linear_gradient("L").save(tmp_path / "blast/3.png")
    with pytest.raises(
        datasets.DamagedImagesError, match=r"3\.png: .*write gray = true into the le"
    ):
        datasets.load(tmp_path)
    found, _ = check.run(datasets.load(tmp_path, damaged="keep"))
    (damage,) = [finding for finding in found if finding.code == "LK301"]
    assert "write gray = true" in damage.message and damage.level == "error"
    (tmp_path / "leukkit.toml").write_text("gray = true")
    cells = datasets.load(tmp_path)
    assert list(cells["image_id"]) == ["normal/1.png", "blast/2.png", "blast/3.png"]
    pixels = images.prepare(cells, images.Preparation(32))[2]
    assert pixels.std() > 50 and (pixels == pixels[..., :1]).all()
    assert "LK301" not in {finding.code for finding in check.run(cells)[0]}


def test_folders_of_parts_above_the_classes_are_the_split(tmp_path):
    fill(tmp_path, "train/normal/1.png", "Valid/blast/2.png", "x/test/blast/3.png", "normal/4.png")
    cells = datasets.load(tmp_path).set_index("image_id")["split"]
    assert cells["train/normal/1.png"] == "training"
    assert cells["Valid/blast/2.png"] == "validation"
    assert cells["x/test/blast/3.png"] == "test"
    assert cells.isna()["normal/4.png"]


def test_a_table_says_what_the_folders_do_not(two):
    cells = datasets.load(table(two, LABELS)).set_index("image_id")
    assert cells["label"].to_dict() == {"a/1.png": "blast", "b/2.bmp": "normal", "3.jpg": "normal"}
    assert cells["patient"]["b/2.bmp"] == "NA"  # a name, and nothing that is missing
    assert cells["subject"].isna().sum() == 1
    assert cells.attrs["classes"] == ("normal", "blast")


@pytest.mark.parametrize(
    "text, encoding",
    [
        (LABELS.replace(",", ";"), "utf-8-sig"),  # Excel in most of Europe
        (LABELS.replace(",", "\t").replace("\n", "\r\n"), "utf-8"),
        (LABELS.replace("a/1.png", "a\\1.png").replace(",", " , "), "utf-8"),
        ("extra," + LABELS.replace("\n", "\n7,", 3), "utf-8"),
    ],
)
def test_tables_as_programs_write_them(two, text, encoding):
    expected = datasets.load(table(two, LABELS))
    found = datasets.load(table(two, text, encoding))
    assert found.drop(columns="path").equals(expected.drop(columns="path"))


def test_other_names_of_columns_classes_and_set(two):
    table(two, LABELS.replace("file,label,patient", "image,diagnosis,who"))
    (two / "leukkit.toml").write_text(
        'name = "bone marrow"\nclasses = ["blast", "normal"]\nlicense = "CC BY 4.0"\n'
        '[columns]\nfile = "image"\nlabel = "diagnosis"\npatient = "who"\n'
    )
    cells = datasets.load(two)
    assert (cells.attrs["dataset"], cells.attrs["license"]) == ("bone marrow", "CC BY 4.0")
    assert cells.attrs["classes"] == ("blast", "normal")
    assert set(cells["patient"].dropna()) == {"P1", "NA"}


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "columns file, label, each once; found was 'nothing'"),
        (LABELS + "4.jpg,blast,P2\n", "line 5: '4.jpg' is not there"),
        (LABELS + "labels.csv,blast,P2\n", "line 5: 'labels.csv' is no image"),
        (LABELS + "../cells/3.jpg,blast,\n", "line 5: '../cells/3.jpg' is no image"),
        (LABELS + "3.jpg,blast,P2\n", "line 5: 3.jpg has a row before"),
        (LABELS.replace("3.jpg,normal", "3.jpg,"), "line 4: 3.jpg has no label"),
        (LABELS.replace("normal", "0"), "labels 0, blast mix numbers and words"),
        (LABELS.replace("blast", "normal"), "all 3 images are of one class, normal"),
        (LABELS.replace("normal", "other"), "which of blast and other is the positive class"),
        ("fold," + LABELS.replace("\n", "\nx,", 3), "line 2: fold is 'x'"),
    ],
)
def test_a_table_that_is_wrong_is_told_with_line_and_value(two, text, message):
    with pytest.raises(ValueError, match="(?s)cells.*" + message.replace("..", r"\.\.")):
        datasets.load(table(two, text))


def test_images_that_are_not_listed_are_told(two):
    fill(two, "b/4.png")
    with pytest.warns(UserWarning, match=r"lists 3 images and not 1 others .* b/4\.png"):
        assert len(datasets.load(table(two, LABELS))) == 3


@pytest.mark.parametrize(
    "text, message",
    [
        ("classes = 3", "classes"),
        ("labels = []", "unknown field labels"),
        ("classes =", r"leukkit\.toml: "),
        ('classes = ["normal", "cancer"]', "label 'blast' is none of the classes normal, cancer"),
        ('[columns]\nlabels = "x"', "columns says what labels is called"),
        ('[columns]\npatient = "who"', "columns file, label, who, each once"),
        ('name = "cnmc-2019"', "cannot be called cnmc-2019"),
    ],
)
def test_facts_that_are_wrong_are_told(two, text, message):
    table(two, LABELS)
    (two / "leukkit.toml").write_text(text)
    with pytest.raises(ValueError, match=message):
        datasets.load(two)


def test_folders_that_hold_nothing_to_learn_from(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder"):
        datasets.load(tmp_path / "none")
    with pytest.raises(ValueError, match="no image in this folder"):
        datasets.load(tmp_path)
    with pytest.raises(ValueError, match="lies in no folder of a class"):
        datasets.load(fill(tmp_path, "1.png"))
    with pytest.raises(ValueError, match="leave root out"):
        datasets.load("./cells", root=tmp_path)


def test_a_folder_is_named_as_a_shell_names_it(tmp_path, monkeypatch):
    fill(tmp_path / "cells", "normal/1.png", "blast/2.png")
    monkeypatch.chdir(tmp_path)
    expected = datasets.load(tmp_path / "cells")
    for name in ("./cells", "cells/", pathlib.Path("cells")):
        assert datasets.load(name).equals(expected)
    monkeypatch.setenv("HOME", os.fspath(tmp_path))
    assert datasets.load("~/cells").equals(expected)


def test_patients_of_ones_own_are_kept_apart(tmp_path):
    rows = [(f"{patient}-{i}.png", patient) for patient in "ABCDEF" for i in range(4)]
    fill(tmp_path, *(name for name, _ in rows))
    kinds = dict(zip("ABCDEF", ["blast", "normal"] * 3, strict=True))
    lines = [f"{name},{kinds[patient]},{patient}" for name, patient in rows]
    cells = datasets.load(table(tmp_path, "\n".join(["file,label,patient", *lines])))
    split = splits.divide(cells, {"split": "subject", "folds": 3}, 0)
    for fold in split.folds:
        train, test = (set(cells["subject"].iloc[part]) for part in (fold.train, fold.test))
        assert not train & test
