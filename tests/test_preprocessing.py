import json

import cv2
import numpy as np
import pandas as pd
import PIL.Image
import pytest

from leukkit import augmentation, distortion, images, segmentation
from leukkit.preprocessing import Preparation, prepare

TEXT = pd.StringDtype("python")


@pytest.fixture
def cells(tmp_path):
    """Return six drawn smears, one of them with a crop, as PNG files."""
    generator = np.random.default_rng(0)
    paths = []
    for number in range(6):
        rgb = np.full((60, 60, 3), (225, 220, 225), np.uint8)
        cv2.circle(rgb, (35, 33), 14, (220, 200, 205), -1)
        cv2.circle(rgb, (22 + number, 25), 10, (110, 50, 150), -1)
        rgb += generator.integers(0, 3, rgb.shape, dtype=np.uint8)
        paths.append(str(tmp_path / f"{number}.png"))
        PIL.Image.fromarray(rgb).save(paths[-1])
    return pd.DataFrame(
        {
            "image_id": pd.array([f"cell-{number}" for number in range(6)], dtype=TEXT),
            "path": pd.array(paths, dtype=TEXT),
            "label": pd.array(["healthy", "ALL"] * 3, dtype=TEXT),
            "crop": pd.array([None, None, 50, None, None, None], dtype="Int64"),
        }
    )


def test_whole_images_are_read_cropped_and_resized(cells):
    expected = images.read_all(cells["path"], 32, [None, None, 50, None, None, None])
    np.testing.assert_array_equal(prepare(cells, Preparation(32)), expected)
    found = prepare(cells.drop(columns="crop"), Preparation(32))
    assert (found[2] != expected[2]).any()


def test_segmented_images_are_black_outside_the_nucleus(cells):
    found = prepare(cells, Preparation(60, segmentation={}))
    for position in (0, 5):
        rgb = images.read(cells["path"][position])
        mask = segmentation.segment_nucleus(rgb)
        assert 0.05 < mask.mean() < 0.2
        np.testing.assert_array_equal(found[position][mask], rgb[mask])
        assert not found[position][~mask].any()


def test_segmentation_sees_the_image_at_its_own_size(cells):
    rgb = images.read(cells["path"][0])
    nucleus = segmentation.apply_mask(rgb, segmentation.segment_nucleus(rgb))
    found = prepare(cells, Preparation(20, segmentation={}))
    np.testing.assert_array_equal(found[0], images.resize(nucleus, 20))


def test_copies_are_augmented_and_originals_are_not(cells):
    preparation = Preparation(32, segmentation={}, seed=3)
    plain = prepare(cells, preparation)
    expanded = augmentation.expand(cells, {"healthy": 7, "ALL": 5})
    found = prepare(expanded, preparation)
    np.testing.assert_array_equal(found[:6], plain)
    for position in range(6, 12):
        row = expanded.iloc[position]
        original = list(cells["image_id"]).index(row["original"])
        drawn = augmentation.parameters(3, row["original"], row["copy"])
        np.testing.assert_array_equal(found[position], augmentation.augment(plain[original], drawn))
    assert len({image.tobytes() for image in found}) == 12


def test_a_row_depends_on_itself_alone(cells):
    expanded = augmentation.expand(cells, {"healthy": 7, "ALL": 5})
    preparation = Preparation(32)
    together = prepare(expanded, preparation, threads=1)
    order = np.random.default_rng(0).permutation(len(expanded))
    np.testing.assert_array_equal(
        prepare(expanded.iloc[order], preparation, threads=3), together[order]
    )
    alone = prepare(expanded.iloc[[11]], preparation)
    np.testing.assert_array_equal(alone[0], together[11])


def test_images_without_a_nucleus_are_listed(cells):
    expected = r"in 6 of 6 images \(cell-0: the mask is empty; .*fallback='highest-cluster'"
    with pytest.raises(segmentation.SegmentationError, match=expected):
        prepare(cells, Preparation(32, segmentation={"threshold": 250}))
    with pytest.raises(segmentation.SegmentationError, match="cell-5: the mask is full"):
        prepare(cells, Preparation(32, segmentation={"threshold": 50}))
    settings = {"threshold": 250, "fallback": "highest-cluster"}
    np.testing.assert_array_equal(
        prepare(cells, Preparation(32, segmentation=settings)),
        prepare(cells, Preparation(32, segmentation={})),
    )


def test_a_blank_image_is_listed_not_passed_on(cells):
    PIL.Image.fromarray(np.full((60, 60, 3), 240, np.uint8)).save(cells["path"][4])
    with pytest.raises(segmentation.SegmentationError, match=r"in 1 of 6 images \(cell-4: cannot"):
        prepare(cells, Preparation(32, segmentation={"fallback": "highest-cluster"}))
    assert (prepare(cells, Preparation(32))[4] == 240).all()


def test_a_damaged_image_is_named(cells, tmp_path):
    (tmp_path / "3.png").write_bytes(b"")
    with pytest.raises(images.ImageError, match=r"3\.png: is empty"):
        prepare(cells, Preparation(32))


def test_an_image_that_went_away_is_named(cells, tmp_path):
    (tmp_path / "4.png").unlink()
    expected = r"4\.png: is gone; it was there when the cells were loaded\. Put the data set back"
    with pytest.raises(images.ImageError, match=expected):
        prepare(cells, Preparation(32))


def test_copies_are_distorted_within_given_ranges(cells):
    ranges = {"rotation": 20, "flip_vertical": True, "contrast": 0.2}
    preparation = Preparation(32, segmentation={}, seed=3, augmentation=ranges)
    expanded = augmentation.expand(cells, {"healthy": 7, "ALL": 5})
    plain = prepare(cells, Preparation(32, segmentation={}))
    found = prepare(expanded, preparation)
    np.testing.assert_array_equal(found[:6], plain)
    for position in range(6, 12):
        row = expanded.iloc[position]
        original = list(cells["image_id"]).index(row["original"])
        drawn = distortion.draw(ranges, 3, row["original"], row["copy"])
        np.testing.assert_array_equal(found[position], distortion.distort(plain[original], drawn))
    descriptions = preparation.descriptions(expanded)
    assert descriptions[:6] == Preparation(32, segmentation={}).descriptions(cells)
    assert json.loads(descriptions[6])["augmentation"]["distortion"] == distortion.VERSION
    assert len(set(descriptions)) == 8  # two kinds of originals, by their crop, and six copies


def test_unknown_augmentation():
    with pytest.raises(ValueError, match="unknown augmentation 'rotate'"):
        Preparation(augmentation={"rotate": 20})


def test_cache_keys_of_earlier_runs_are_still_valid(cells):
    expected = (
        '{"augmentation": {"brightness": 0.5, "flip_horizontal": true, "flip_vertical": false, '
        '"rotation": 45, "scale": 1.1}, "crop": 450, "segmentation": null, "size": 64, '
        '"version": 1}'
    )
    drawn = {
        "rotation": 45,
        "flip_horizontal": True,
        "flip_vertical": False,
        "scale": 1.1,
        "brightness": 0.5,
    }
    assert Preparation(64).description(drawn, 450) == expected
    expanded = augmentation.expand(cells, {"healthy": 4, "ALL": 3})
    drawn = augmentation.parameters(0, expanded["original"].iloc[6], 1)
    assert json.loads(Preparation(64).descriptions(expanded)[6])["augmentation"] == drawn


def test_description_is_canonical():
    default = Preparation(64, segmentation={}).description()
    assert Preparation(64, segmentation={"threshold": 141, "k": 3}).description() == default
    assert Preparation(64, segmentation={"k": 3}, seed=9).description() == default
    drawn = augmentation.parameters(0, "cell", 1)
    others = {
        Preparation(64).description(),
        Preparation(65, segmentation={}).description(),
        Preparation(64, segmentation={"k": 7}).description(),
        Preparation(64, segmentation={"fallback": "highest-cluster"}).description(),
        Preparation(64, segmentation={}).description(drawn),
        Preparation(64, segmentation={}).description(crop=450),
    }
    assert default not in others
    assert len(others) == 6
    assert json.loads(Preparation().description(drawn))["augmentation"] == drawn


def test_descriptions_of_rows(cells):
    expanded = augmentation.expand(cells, {"healthy": 4, "ALL": 3})
    preparation = Preparation(32, seed=5)
    found = preparation.descriptions(expanded)
    assert found[0] == found[1] == preparation.description()
    assert found[2] == preparation.description(crop=50)
    original = expanded["original"].iloc[6]
    drawn = augmentation.parameters(5, original, 1)
    assert json.loads(found[6])["augmentation"] == drawn
    assert preparation.descriptions(cells) == found[:6]


def test_unknown_segmentation_setting():
    with pytest.raises(TypeError, match="clusters"):
        Preparation(segmentation={"clusters": 3})
