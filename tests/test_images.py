"""From rows of the cells frame to pixels, and those pixels in the cache."""

import dataclasses
import hashlib
import json
import pathlib

import cv2
import numpy as np
import pandas as pd
import PIL.Image
import pytest
import skimage.color

from leukkit import augmentation, images, segmentation
from leukkit.images import Preparation, load, prepare
from leukkit.schemas import Recipe

TEXT = pd.StringDtype("python")
COUNTS = {"healthy": 7, "ALL": 5}
RANGES = {"rotation": 20, "flip_vertical": True, "contrast": 0.2}


@pytest.fixture
def cells(tmp_path):
    """Return six made-up smears as PNG files; one has a crop, the last equals the first."""
    generator = np.random.default_rng(0)
    made = []
    for number in range(5):
        rgb = np.full((60, 60, 3), (225, 220, 225), np.uint8)
        cv2.circle(rgb, (35, 33), 14, (220, 200, 205), -1)
        cv2.circle(rgb, (22 + number, 25), 10, (110, 50, 150), -1)
        made.append(rgb + generator.integers(0, 3, rgb.shape, dtype=np.uint8))
    made.append(made[0])
    paths = [tmp_path / f"{number}.png" for number in range(6)]
    for path, rgb in zip(paths, made, strict=True):
        PIL.Image.fromarray(rgb).save(path)
    return pd.DataFrame(
        {
            "image_id": pd.array([f"cell-{number}" for number in range(6)], dtype=TEXT),
            "path": pd.array([str(path) for path in paths], dtype=TEXT),
            "label": pd.array(["healthy", "ALL"] * 3, dtype=TEXT),
            "crop": pd.array([None, None, 50, None, None, None], dtype="Int64"),
            "sha256": pd.array([hashlib.sha256(rgb).hexdigest() for rgb in made], dtype=TEXT),
        }
    )


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def stain_recipe(cache, monkeypatch):
    monkeypatch.setenv("LEUKKIT_CACHE_DIR", str(cache))
    phases = [{"epochs": 1, "learning_rate": 0.1}]
    return Recipe(network="vgg16", image_size=32, stain="reinhard", phases=phases)


def stored(cache):
    """Return the number of images in each folder of the cache."""
    folders = sorted({path.parent for path in cache.glob("*/*.npy")})
    return [sum(np.load(path)["rows"].shape[1] for path in one.glob("*.npy")) for one in folders]


def test_whole_images_are_read_cropped_and_resized(cells):
    found = prepare(cells, Preparation(32))
    for position, crop in enumerate([None, None, 50, None, None, None]):
        rgb = images.read(cells["path"][position], crop)
        np.testing.assert_array_equal(found[position], images.resize(rgb, 32))
    uncropped = prepare(cells.drop(columns="crop"), Preparation(32))
    assert (found[2] != uncropped[2]).any()


def test_segmented_images_are_black_outside_the_nucleus(cells):
    found = prepare(cells, Preparation(60, segmentation={}))
    small = prepare(cells, Preparation(20, segmentation={}))
    for position in (0, 5):
        rgb = images.read(cells["path"][position])
        mask = segmentation.segment_nucleus(rgb)
        assert 0.05 < mask.mean() < 0.2
        np.testing.assert_array_equal(found[position][mask], rgb[mask])
        assert not found[position][~mask].any()
        at_its_own_size = images.resize(segmentation.apply_mask(rgb, mask), 20)
        np.testing.assert_array_equal(small[position], at_its_own_size)


def test_images_are_segmented_at_their_own_size_or_resized_first(cells):
    after, cells = {"after_resizing": True}, cells.drop(columns="crop")
    found = prepare(cells, Preparation(20, segmentation=after))
    for image, path in zip(found, cells["path"], strict=True):
        small = images.resize(images.read(path), 20)
        nucleus = segmentation.segment_nucleus(small)
        np.testing.assert_array_equal(image, segmentation.apply_mask(small, nucleus))
    native = Preparation(20, segmentation={})
    assert (found != prepare(cells, native)).any()
    assert Preparation(20, segmentation=after).description() != native.description()
    same = Preparation(20, segmentation={"after_resizing": False})
    assert same.description() == native.description()


def test_copies_are_augmented_after_segmentation_and_originals_are_not(cells):
    plain = prepare(cells, Preparation(32, segmentation={}))
    expanded = augmentation.expand(cells, COUNTS)
    found = prepare(expanded, Preparation(32, segmentation={}, seed=3, distortion=RANGES))
    np.testing.assert_array_equal(found[:6], plain)
    for position in range(6, 12):
        row = expanded.iloc[position]
        original = list(cells["image_id"]).index(row["original"])
        drawn = augmentation.draw(RANGES, 3, row["sha256"], row["copy"])
        np.testing.assert_array_equal(found[position], augmentation.apply(plain[original], drawn))
    # The last original is the first, and so are their copies.
    assert len({image.tobytes() for image in found}) == 10


def test_copies_without_ranges_are_refused(cells, cache):
    expanded = augmentation.expand(cells, COUNTS)
    for work in (prepare, load, images.keys):
        with pytest.raises(ValueError, match="6 of 12 images are augmented copies, but no"):
            work(expanded, Preparation(32))
    np.testing.assert_array_equal(
        prepare(expanded[:6], Preparation(32)), prepare(cells, Preparation(32))
    )


def test_a_row_depends_on_itself_alone(cells):
    expanded = augmentation.expand(cells, COUNTS)
    preparation = Preparation(32, distortion=RANGES)
    together = prepare(expanded, preparation, threads=1)
    order = np.random.default_rng(0).permutation(len(expanded))
    np.testing.assert_array_equal(
        prepare(expanded.iloc[order], preparation, threads=3), together[order]
    )
    np.testing.assert_array_equal(prepare(expanded.iloc[[11]], preparation)[0], together[11])


def test_images_without_a_nucleus_are_listed(cells, cache):
    nothing = Preparation(32, segmentation={"threshold": 250})
    expected = r"in 6 of 6 images \(cell-0: the mask is empty; .*rule='highest cluster'"
    with pytest.raises(segmentation.SegmentationError, match=expected):
        prepare(cells, nothing)
    with pytest.raises(segmentation.SegmentationError, match="in 5 of 5 images"):
        load(cells, nothing, cache)
    assert stored(cache) == []
    with pytest.raises(segmentation.SegmentationError, match="cell-5: the mask is full"):
        prepare(cells, Preparation(32, segmentation={"threshold": 50}))
    settings = {"threshold": 250, "rule": "highest cluster"}
    np.testing.assert_array_equal(
        prepare(cells, Preparation(32, segmentation=settings)),
        prepare(cells, Preparation(32, segmentation={})),
    )


def test_a_blank_image_is_listed_not_passed_on(cells):
    PIL.Image.fromarray(np.full((60, 60, 3), 240, np.uint8)).save(cells["path"][4])
    with pytest.raises(segmentation.SegmentationError, match=r"in 1 of 6 images \(cell-4: cannot"):
        prepare(cells, Preparation(32, segmentation={"rule": "highest cluster"}))
    assert (prepare(cells, Preparation(32))[4] == 240).all()


@pytest.mark.parametrize("gone", [False, True])
def test_a_damaged_or_missing_image_is_named(cells, cache, gone):
    path = pathlib.Path(cells["path"][3])
    path.unlink() if gone else path.write_bytes(b"")
    expected = r"3\.png: is gone; it was there when the cells were loaded\. Put the data set back"
    for work in (
        lambda: prepare(cells, Preparation(32)),
        lambda: load(cells, Preparation(32), cache),
    ):
        with pytest.raises(images.ImageError, match=expected if gone else r"3\.png: is empty"):
            work()
    assert stored(cache) == []


def test_a_description_is_canonical_and_tells_all_that_is_done():
    default = Preparation(64, segmentation={}).description()
    assert Preparation(64, segmentation={"threshold": 141, "k": 3}).description() == default
    assert Preparation(64, segmentation={}, seed=9, distortion=RANGES).description({}) == default
    drawn = augmentation.draw(RANGES, 0, "cell", 1)
    others = {
        Preparation(64).description(),
        Preparation(65, segmentation={}).description(),
        Preparation(64, segmentation={"k": 7}).description(),
        Preparation(64, segmentation={"rule": "highest cluster"}).description(),
        Preparation(64, segmentation={}).description(drawn),
        Preparation(64, segmentation={}).description(crop=450),
        default,
    }
    assert len(others) == 7
    expected = {"version": augmentation.VERSION, **drawn}
    assert json.loads(Preparation().description(drawn))["augmentation"] == expected


def test_unknown_settings_are_refused():
    with pytest.raises(TypeError, match="clusters"):
        Preparation(segmentation={"clusters": 3})
    with pytest.raises(ValueError, match="unknown augmentation 'rotate'"):
        Preparation(distortion={"rotate": 20})


def test_loaded_pixels_are_those_of_prepare(cells, cache):
    found, expected = load(cells, Preparation(16), cache), prepare(cells, Preparation(16))
    assert found.shape == expected.shape == (6, 16, 16, 3)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(np.asarray(found), expected)
    assert stored(cache) == [5]  # identical images once


def test_the_second_call_reads_no_image(cells, cache, tmp_path):
    expected = np.asarray(load(cells, Preparation(16), cache))
    for path in tmp_path.glob("*.png"):
        path.unlink()
    for order in (slice(None), slice(None, None, -1), [3, 1]):
        found = np.asarray(load(cells.iloc[order], Preparation(16), cache))
        np.testing.assert_array_equal(found, expected[order])


def test_what_changes_pixels_changes_keys_and_originals_are_shared(cells, cache):
    expanded = augmentation.expand(cells, COUNTS)
    for preparation, images_stored in [
        (Preparation(16, distortion=RANGES), [10]),
        (Preparation(16, distortion=RANGES, seed=1), [15]),
        (Preparation(16, distortion={"rotation": 45}), [20]),
        (Preparation(16, distortion={}), [20]),
        (Preparation(12, distortion={}), [5, 20]),
    ]:
        found = load(expanded, preparation, cache)
        np.testing.assert_array_equal(np.asarray(found), prepare(expanded, preparation))
        assert sorted(stored(cache)) == images_stored
    load(cells.drop(columns="crop"), Preparation(16), cache)
    assert sorted(stored(cache)) == [5, 21]


def test_keys_depend_on_what_else_is_said(cells):
    plain, more = (images.keys(cells, Preparation(16), text) for text in ("", "vgg16"))
    assert {len(key) for key in plain + more} == {32}
    assert len(set(plain)) == 5 and plain[0] == plain[5]
    assert not set(plain) & set(more)


def test_the_default_folder_is_in_the_cache(cells, tmp_path, monkeypatch):
    monkeypatch.setenv("LEUKKIT_CACHE_DIR", str(tmp_path / "own"))
    load(cells, Preparation(16))
    assert stored(tmp_path / "own" / "pixels") == [5]


def test_nothing_to_load(cells, cache):
    with pytest.raises(ValueError, match="the cells frame has no rows"):
        load(cells.iloc[:0], Preparation(16), cache)
    cells["sha256"] = cells["sha256"].where(cells["image_id"] != "cell-2")
    with pytest.raises(ValueError, match="1 images have no hash"):
        load(cells, Preparation(16), cache)


def test_channel_statistics_are_those_of_all_pixels_together(cells, cache, monkeypatch):
    monkeypatch.setattr(images, "CHUNK_BYTES", 2 * 16 * 16 * 3)
    found = load(cells, Preparation(16), cache)
    mean, deviation = images.channel_statistics(found, [0, 2, 3, 4, 2])
    values = np.asarray(found)[[0, 2, 3, 4, 2]].reshape(-1, 3).astype(float)
    np.testing.assert_allclose(mean, values.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(deviation, values.std(axis=0), rtol=1e-12)


STAIN = [[60.0, 20.0, -15.0], [12.0, 6.0, 5.0]]


def colors(rgb):
    """Return mean and standard deviation in LAB of what is not black, by scikit-image."""
    lab = skimage.color.rgb2lab(rgb)[(rgb > images.BLACK).any(axis=2)]
    return np.array([lab.mean(axis=0), lab.std(axis=0)])


def test_a_stain_gives_the_colors_asked_for_and_leaves_black_black(cells):
    rgb = images.read(cells["path"][0])
    rgb[:40] = 0  # most of a cell of C-NMC is
    found = images.normalize_stain(rgb, STAIN)
    np.testing.assert_allclose(colors(found), STAIN, atol=0.3)  # of rounding
    assert not found[:40].any()
    black = np.zeros_like(rgb)
    np.testing.assert_array_equal(images.normalize_stain(black, STAIN), black)


def test_a_gray_image_gets_the_mean_color_and_no_invented_spread():
    ramp = np.repeat(np.arange(60, 200, dtype=np.uint8).reshape(10, 14, 1), 3, axis=2)
    found = colors(images.normalize_stain(ramp, STAIN))
    np.testing.assert_allclose(found[0], STAIN[0], atol=0.3)
    np.testing.assert_allclose(found[1, 1:], 0, atol=0.7)


def test_stains_are_normalized_after_segmentation_and_before_augmentation(cells):
    plain, settings = Preparation(32, {}), {"rotation": 90.0}
    stained = dataclasses.replace(plain, stain=STAIN)
    made = [images.normalize_stain(rgb, STAIN) for rgb in prepare(cells, plain)]
    np.testing.assert_array_equal(prepare(cells, stained), made)
    copies = cells.assign(original=cells["image_id"], copy=1)
    turned = dataclasses.replace(stained, distortion=settings)
    drawn = turned.draw(copies)
    expected = [augmentation.apply(*pair) for pair in zip(made, drawn, strict=True)]
    np.testing.assert_array_equal(prepare(copies, turned), expected)


def test_the_stain_is_the_mean_of_the_training_files_own_colors(cells, stain_recipe):
    found = images.preparation(stain_recipe, 0, cells)
    own = [colors(rgb) for rgb in prepare(cells.iloc[:5], Preparation(32))]  # the last is the first
    np.testing.assert_allclose(found.stain, np.mean(own, axis=0), atol=0.2)  # OpenCV interpolates
    copies = cells.assign(original=cells["image_id"], copy=1)
    assert images.preparation(stain_recipe, 0, copies).stain == found.stain
    assert images.preparation(stain_recipe.replace(stain=None), 0, cells) == Preparation(
        32, distortion={}
    )


def test_black_training_images_have_no_stain(cells, stain_recipe, tmp_path):
    PIL.Image.new("RGB", (40, 40)).save(tmp_path / "black.png")
    black = cells.iloc[[0]].assign(path=str(tmp_path / "black.png"), sha256="black")
    both = pd.concat([cells, black], ignore_index=True)
    expected = images.preparation(stain_recipe, 0, cells).stain
    assert images.preparation(stain_recipe, 0, both).stain == expected
    with pytest.raises(ValueError, match="all of 1 training images are black"):
        images.preparation(stain_recipe, 0, black)


def test_without_a_stain_pixels_are_kept_under_the_key_of_before(cells):
    made = Preparation(32, {}, 3, {"rotation": 20})
    assert made.description(None, 50) == (  # as it was before there were stains
        '{"augmentation": null, "crop": 50, "segmentation": {"k": 3, "minimum_area": 0, "opening": '
        '0, "rule": "above threshold", "threshold": 141}, "size": 32, "version": 1}'
    )
    one, other = (Preparation(32, stain=[[mean] * 3, [1.0] * 3]) for mean in (1.0, 2.0))
    of_each = {images.keys(cells, each)[0] for each in (Preparation(32), one, other)}
    assert len(of_each) == 3
