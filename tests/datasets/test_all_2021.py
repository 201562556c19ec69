import pandas as pd
import pytest
from PIL import Image

from leukkit import datasets
from leukkit.datasets import published
from leukkit.datasets.official import FACTS
from tests.datasets.trees import draw, write_all_2021

pytestmark = pytest.mark.usefixtures("own_cache")


def test_original_is_loaded_where_both_are_there(tmp_path):
    cells = datasets.load("all-2021", write_all_2021(tmp_path))
    assert cells["path"].str.contains("/Original/").all()
    assert cells.groupby("label").size().to_dict() == {"benign": 4, "early": 4, "pre": 4, "pro": 4}
    assert cells["image_id"].iloc[:5].tolist() == [
        "WBC-Benign-001",
        "WBC-Benign-002",
        "WBC-Benign-037",
        "WBC-Benign-038",
        "WBC-Malignant-Early-001",
    ]
    assert cells.attrs["classes"] == ("benign", "early", "pre", "pro")


def test_segmented_is_loaded_when_root_points_at_it(tmp_path):
    write_all_2021(tmp_path)
    segmented = datasets.load("all-2021", tmp_path / "Segmented")
    original = datasets.load("all-2021", tmp_path)
    assert segmented["path"].str.contains("/Segmented/").all()
    assert segmented["image_id"].tolist() == original["image_id"].tolist()
    assert not set(segmented["sha256"]) & set(original["sha256"])


def test_segmented_alone_is_not_taken_for_original(tmp_path):
    write_all_2021(tmp_path)
    (tmp_path / "Original").rename(tmp_path.parent / f"{tmp_path.name}-moved")
    with pytest.raises(datasets.DatasetError, match=r"only the Segmented images.*/Segmented\)"):
        datasets.load("all-2021", tmp_path)


def test_blocks_of_numbers_stand_in_for_patients(tmp_path):
    cells = datasets.load("all-2021", write_all_2021(tmp_path))
    assert cells["patient"].isna().all()
    pro = cells[cells["label"] == "pro"]
    assert pro["number"].tolist() == [1, 2, 37, 38]
    assert pro["sequence"].tolist() == ["pro"] * 4
    assert pro["subject"].tolist() == ["proxy:pro-1"] * 3 + ["proxy:pro-2"]


def test_there_are_about_as_many_blocks_as_patients():
    blocks = sum(
        -(-entry["images"] // published.IMAGES_PER_BLOCK) for entry in FACTS["all-2021"]["counts"]
    )
    assert blocks == pytest.approx(89, abs=1)


def test_identical_images_do_not_merge_blocks(tmp_path):
    write_all_2021(tmp_path)
    pro = tmp_path / "Original" / "Pro"
    (pro / "WBC-Malignant-Pro-038.jpg").write_bytes(
        (pro / "WBC-Malignant-Pro-001.jpg").read_bytes()
    )
    cells = datasets.load("all-2021", tmp_path).set_index("image_id")
    one, other = cells.loc["WBC-Malignant-Pro-001"], cells.loc["WBC-Malignant-Pro-038"]
    assert one["sha256"] == other["sha256"]
    assert (one["subject"], other["subject"]) == ("proxy:pro-1", "proxy:pro-2")
    problems = datasets.check(cells.reset_index())
    assert (problems["kind"] == "duplicate").sum() == 1
    assert "subject-merge" not in set(problems["kind"])


def test_converted_copies_are_refused(tmp_path):
    write_all_2021(tmp_path)
    Image.fromarray(draw(1, 224)).save(tmp_path / "Original/Pre/WBC-Malignant-Pre-003.png")
    with pytest.raises(datasets.DatasetError, match=r"Pre-003\.png: a JPEG was expected"):
        datasets.load("all-2021", tmp_path)


def test_image_in_the_folder_of_another_class(tmp_path):
    write_all_2021(tmp_path)
    name = "WBC-Malignant-Pre-001.jpg"
    (tmp_path / "Original/Pre" / name).rename(tmp_path / "Original/Pro" / name)
    with pytest.raises(datasets.DatasetError, match="the name says pre, the folder pro"):
        datasets.load("all-2021", tmp_path)


def test_one_class_only(tmp_path):
    write_all_2021(tmp_path)
    with pytest.raises(datasets.DatasetError, match="of one class, early"):
        datasets.load("all-2021", tmp_path / "Original" / "Early")


def test_same_cells_when_loaded_twice(tmp_path):
    write_all_2021(tmp_path)
    pd.testing.assert_frame_equal(
        datasets.load("all-2021", tmp_path), datasets.load("all-2021", tmp_path)
    )
