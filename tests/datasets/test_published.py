"""Finding a data set below a folder, ALL-IDB2, and ALL 2021; `test_cnmc` has C-NMC's own traps."""

import errno
import os
import re

import numpy as np
import pytest
from PIL import Image

from leukkit import datasets
from leukkit.datasets import published
from leukkit.datasets.published import FACTS
from tests.datasets.trees import draw, write, write_all_2021, write_all_idb2, write_cnmc

pytestmark = pytest.mark.usefixtures("own_cache")

TREES = {"cnmc-2019": write_cnmc, "all-idb2": write_all_idb2, "all-2021": write_all_2021}


def test_data_dir_is_the_default_root(tmp_path, monkeypatch):
    monkeypatch.setenv("LEUKKIT_DATA_DIR", str(tmp_path))
    write_all_idb2(tmp_path / "all-idb2")
    assert datasets.load("all-idb2").attrs["root"] == str(tmp_path / "all-idb2")


def test_linked_folders_are_followed_once(tmp_path):
    elsewhere = write_all_idb2(tmp_path / "big disk")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "all-idb2").symlink_to(elsewhere)
    (elsewhere / "circle").symlink_to(elsewhere)
    assert len(datasets.load("all-idb2", tmp_path / "data")) == 6


@pytest.mark.parametrize("name", TREES)
def test_what_is_not_there_is_said_with_the_way_to_get_it(tmp_path, monkeypatch, name):
    monkeypatch.delenv("LEUKKIT_DATA_DIR", raising=False)
    with pytest.raises(FileNotFoundError, match=f"LEUKKIT_DATA_DIR.*leukkit data fetch {name}"):
        datasets.load(name)
    monkeypatch.setenv("LEUKKIT_DATA_DIR", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=f"{name}: no such folder.*data fetch {name}"):
        datasets.load(name)
    with pytest.raises(datasets.DatasetError, match=f"empty.*leukkit data fetch {name}"):
        datasets.load(name, tmp_path)
    (tmp_path / "data.zip").write_bytes(b"PK")
    with pytest.raises(datasets.DatasetError, match=r"none of the 1 files.*unpacked"):
        datasets.load(name, tmp_path)


@pytest.mark.parametrize("name", TREES)
@pytest.mark.parametrize("other", TREES)
def test_the_folder_of_another_data_set_is_recognized(tmp_path, name, other):
    TREES[other](tmp_path)
    if name == other:
        assert datasets.load(name, tmp_path).attrs["classes"] == tuple(FACTS[name]["classes"])
    else:
        with pytest.raises(datasets.DatasetError, match=f"this is {other}, not {name}"):
            datasets.load(name, tmp_path)


@pytest.mark.parametrize(
    ("name", "part", "said"),
    [
        ("cnmc-2019", "C-NMC_training_data/fold_0/all", "all 2 images are of one class, ALL"),
        ("all-2021", "Original/Early", "all 4 images are of one class, early"),
    ],
)
def test_one_class_only(tmp_path, name, part, said):
    TREES[name](tmp_path)
    with pytest.raises(datasets.DatasetError, match=said):
        datasets.load(name, tmp_path / part)


def test_unknown_names_and_the_root_of_a_sample_are_refused(tmp_path):
    known = ", ".join([*TREES, "sample-cells", "sample-phases", "sample-idb", "sample-smears"])
    with pytest.raises(ValueError, match=re.escape(f"unknown data set 'cnmc'. Known are: {known}")):
        datasets.load("cnmc", tmp_path)
    with pytest.raises(ValueError, match="sample-idb is synthetic and has no root"):
        datasets.load("sample-idb", tmp_path)


def test_all_idb2_has_labels_in_its_names_and_no_patients(tmp_path):
    write_all_idb2(tmp_path)
    Image.fromarray(draw(5, 257)[:200, :193]).save(tmp_path / "Im005_1.TIFF")
    cells = datasets.load("all-idb2", tmp_path)
    assert cells["image_id"].tolist() == [
        *["Im001_1", "Im002_1", "Im005_1", "Im010_1"],
        *["Im131_0", "Im132_0", "Im140_0"],
    ]
    assert cells["label"].tolist() == ["ALL"] * 4 + ["healthy"] * 3
    assert cells[["patient", "source_image", "split", "fold", "subject"]].isna().all(axis=None)
    problems = datasets.check(cells)  # other crop sizes are reported, not refused
    assert "damaged" not in set(problems["kind"])
    sizes = problems[problems["kind"] == "size"]
    assert sizes["image_id"].tolist() == ["Im005_1"]
    assert "200x193 pixels, 257x257 was expected" in sizes["detail"].iloc[0]


def test_a_folder_that_cannot_be_listed_is_not_skipped(tmp_path, monkeypatch):
    write_all_idb2(tmp_path)
    scan = os.scandir

    def refuse(path):
        if os.fspath(path).endswith("img"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(PermissionError, match="ALL_IDB2/img"):
        datasets.load("all-idb2", tmp_path)


def test_all_idb1_is_told_apart(tmp_path):
    Image.fromarray(np.zeros((30, 40, 3), np.uint8)).save(tmp_path / "Im001_1.jpg")
    with pytest.raises(datasets.DatasetError, match=r"Im001_1\.jpg: a JPEG; a TIFF was .*ALL-IDB1"):
        datasets.load("all-idb2", tmp_path)


def test_original_is_loaded_where_both_are_there_and_blocks_stand_in_for_patients(tmp_path):
    cells = datasets.load("all-2021", write_all_2021(tmp_path))
    assert cells["path"].str.contains("/Original/").all()
    names = ["Benign", "Malignant-Early", "Malignant-Pre", "Malignant-Pro"]
    numbers = [1, 2, 37, 38]
    assert cells["image_id"].tolist() == [f"WBC-{name}-{n:03}" for name in names for n in numbers]
    assert cells["patient"].isna().all()
    pro = cells[cells["label"] == "pro"]
    assert pro["number"].tolist() == numbers
    assert pro["sequence"].tolist() == ["pro"] * 4
    assert pro["subject"].tolist() == ["proxy:pro-1"] * 3 + ["proxy:pro-2"]


def test_there_are_about_as_many_blocks_as_patients():
    counts = [entry["images"] for entry in FACTS["all-2021"]["counts"]]
    blocks = sum(-(-count // published.IMAGES_PER_BLOCK) for count in counts)
    assert blocks == pytest.approx(89, abs=1)


def test_segmented_is_loaded_only_when_root_points_at_it(tmp_path):
    write_all_2021(tmp_path)
    segmented = datasets.load("all-2021", tmp_path / "Segmented")
    original = datasets.load("all-2021", tmp_path)
    assert segmented["path"].str.contains("/Segmented/").all()
    assert segmented["image_id"].tolist() == original["image_id"].tolist()
    assert not set(segmented["sha256"]) & set(original["sha256"])
    (tmp_path / "Original").rename(tmp_path.parent / f"{tmp_path.name}-moved")
    with pytest.raises(datasets.DatasetError, match=r"only the Segmented images.*/Segmented\)"):
        datasets.load("all-2021", tmp_path)


def test_identical_images_do_not_merge_blocks(tmp_path):
    write_all_2021(tmp_path)
    write(tmp_path / "Original/Pro/WBC-Malignant-Pro-038.jpg", 301, 224)  # as number 1
    cells = datasets.load("all-2021", tmp_path)
    pair = cells[cells["image_id"].isin(["WBC-Malignant-Pro-001", "WBC-Malignant-Pro-038"])]
    assert pair["sha256"].nunique() == 1
    assert pair["subject"].tolist() == ["proxy:pro-1", "proxy:pro-2"]
    kinds = datasets.check(cells)["kind"].value_counts()
    assert kinds["duplicate"] == 1
    assert "subject-merge" not in kinds


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("Pre/WBC-Malignant-Pre-003.png", r"Pre-003\.png: a PNG; a JPEG was expected"),
        ("Pro/WBC-Malignant-Pre-003.jpg", "the name says pre, the folder pro"),
    ],
)
def test_converted_and_misplaced_images_are_refused(tmp_path, place, said):
    write(write_all_2021(tmp_path) / "Original" / place, 1, 224)
    with pytest.raises(datasets.DatasetError, match=said):
        datasets.load("all-2021", tmp_path)
