import numpy as np
import pytest
from PIL import Image

from leukkit import datasets
from tests.datasets.trees import draw, write, write_all_idb2, write_cnmc

pytestmark = pytest.mark.usefixtures("own_cache")


def test_labels_are_read_from_the_names(tmp_path):
    cells = datasets.load("all-idb2", write_all_idb2(tmp_path))
    assert dict(zip(cells["image_id"], cells["label"], strict=True)) == {
        "Im001_1": "ALL",
        "Im002_1": "ALL",
        "Im010_1": "ALL",
        "Im131_0": "healthy",
        "Im132_0": "healthy",
        "Im140_0": "healthy",
    }
    assert cells.attrs["classes"] == ("healthy", "ALL")


def test_unknown_patients_stay_unknown(tmp_path):
    cells = datasets.load("all-idb2", write_all_idb2(tmp_path))
    for column in ("patient", "source_image", "split", "fold", "subject"):
        assert cells[column].isna().all()


def test_both_spellings_of_the_ending_are_read(tmp_path):
    write(tmp_path / "Im001_1.TIF", 1, 257)
    write(tmp_path / "Im131_0.tiff", 2, 257)
    assert len(datasets.load("all-idb2", tmp_path)) == 2


def test_other_crop_sizes_are_reported_not_refused(tmp_path):
    write_all_idb2(tmp_path)
    Image.fromarray(draw(5, 257)[:200, :193]).save(tmp_path / "ALL_IDB2/img/Im005_1.tif")
    cells = datasets.load("all-idb2", tmp_path)
    assert "Im005_1" in set(cells["image_id"])
    problems = datasets.check(cells)
    damaged = problems[problems["kind"] == "damaged"]
    assert damaged["image_id"].tolist() == ["Im005_1"]
    assert "200x193 pixels, 257x257 was expected" in damaged["detail"].iloc[0]


def test_all_idb1_is_told_apart(tmp_path):
    Image.fromarray(np.zeros((30, 40, 3), np.uint8)).save(tmp_path / "Im001_1.jpg")
    with pytest.raises(datasets.DatasetError, match=r"Im001_1\.jpg: a TIFF was expected.*ALL-IDB1"):
        datasets.load("all-idb2", tmp_path)


def test_folder_of_another_data_set_is_recognized(tmp_path):
    write_cnmc(tmp_path, "png")
    with pytest.raises(datasets.DatasetError, match="this is cnmc-2019, not all-idb2"):
        datasets.load("all-idb2", tmp_path)


def test_one_class_only(tmp_path):
    write(tmp_path / "Im001_1.tif", 1, 257)
    with pytest.raises(datasets.DatasetError, match="of one class, ALL"):
        datasets.load("all-idb2", tmp_path)
