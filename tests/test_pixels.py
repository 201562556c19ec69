import errno
import hashlib
import pathlib
import pickle
import shutil

import numpy as np
import pandas as pd
import PIL.Image
import pytest

from leukkit import augmentation, images, pixels, preprocessing, segmentation
from leukkit.preprocessing import Preparation, prepare

TEXT = pd.StringDtype("python")


@pytest.fixture
def cells(tmp_path):
    """Return six noisy images as PNG files, the last of them identical to the first."""
    generator = np.random.default_rng(0)
    drawn = [generator.integers(0, 256, (24, 24, 3), dtype=np.uint8) for _ in range(5)]
    drawn.append(drawn[0])
    folder = tmp_path / "images"
    folder.mkdir()
    paths = [folder / f"{number}.png" for number in range(6)]
    for path, rgb in zip(paths, drawn, strict=True):
        PIL.Image.fromarray(rgb).save(path)
    return pd.DataFrame(
        {
            "image_id": pd.array([f"cell-{number}" for number in range(6)], dtype=TEXT),
            "path": pd.array([str(path) for path in paths], dtype=TEXT),
            "label": pd.array(["healthy", "ALL"] * 3, dtype=TEXT),
            "sha256": pd.array([hashlib.sha256(rgb).hexdigest() for rgb in drawn], dtype=TEXT),
        }
    )


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def files(cache):
    return sorted(cache.iterdir()) if cache.exists() else []


def test_pixels_are_those_of_prepare(cells, cache):
    found = pixels.load(cells, Preparation(16), cache)
    expected = prepare(cells, Preparation(16))
    assert found.shape == expected.shape == (6, 16, 16, 3)
    assert found.dtype == np.uint8
    assert len(found) == 6
    np.testing.assert_array_equal(np.asarray(found), expected)
    np.testing.assert_array_equal(found[[4, 0, 5]], expected[[4, 0, 5]])
    np.testing.assert_array_equal(found[2:4], expected[2:4])
    np.testing.assert_array_equal(found[-1], expected[-1])


def test_what_is_taken_out_may_be_changed(cells, cache):
    found = pixels.load(cells, Preparation(16), cache)
    before = np.asarray(found)
    for taken in (found[0], found[:2], found[[0, 1]]):
        taken[:] = 0
    np.testing.assert_array_equal(np.asarray(found), before)


def test_the_second_call_reads_no_image(cells, cache):
    expected = np.asarray(pixels.load(cells, Preparation(16), cache))
    shutil.rmtree(pathlib.Path(cells["path"][0]).parent)
    again = pixels.load(cells, Preparation(16), cache)
    np.testing.assert_array_equal(np.asarray(again), expected)
    other_order = pixels.load(cells.iloc[::-1], Preparation(16), cache)
    np.testing.assert_array_equal(np.asarray(other_order), expected[::-1])
    assert len(files(cache)) == 1


def test_identical_images_are_stored_once(cells, cache):
    pixels.load(cells, Preparation(16), cache)
    (path,) = files(cache)
    assert np.load(path).shape == (5, 16, 16, 3)


def test_another_preparation_has_another_file(cells, cache):
    expanded = augmentation.expand(cells, {"healthy": 5, "ALL": 4})
    ranges = {"rotation": 90}
    for preparation in [
        Preparation(16),
        Preparation(16, seed=1),
        Preparation(16, augmentation=ranges),
        Preparation(16, augmentation={"rotation": 45}),
        Preparation(12),
    ]:
        found = pixels.load(expanded, preparation, cache)
        np.testing.assert_array_equal(np.asarray(found), prepare(expanded, preparation))
    assert len(files(cache)) == 5


def test_originals_do_not_depend_on_the_augmentation(cells, cache):
    pixels.load(cells, Preparation(16, augmentation={"zoom": 0.1}), cache)
    pixels.load(cells, Preparation(16, seed=4), cache)
    assert len(files(cache)) == 1


def test_few_images_are_prepared_at_once(cells, cache, monkeypatch):
    at_once = []

    def counted(chunk, preparation):
        at_once.append(len(chunk))
        return prepare(chunk, preparation)

    monkeypatch.setattr(pixels, "prepare", counted)
    monkeypatch.setattr(pixels, "CHUNK_BYTES", 2 * 16 * 16 * 3 + 1)
    found = pixels.load(cells, Preparation(16), cache)
    assert at_once == [2, 2, 1]
    np.testing.assert_array_equal(np.asarray(found), prepare(cells, Preparation(16)))


def test_pickled_by_path_not_by_content(cells, cache):
    found = pixels.load(cells, Preparation(16), cache)
    text = pickle.dumps(found)
    assert len(text) < 1500 < found.shape[0] * 16 * 16 * 3
    np.testing.assert_array_equal(np.asarray(pickle.loads(text)), np.asarray(found))


def test_the_default_folder_is_in_the_cache(cells, tmp_path, monkeypatch):
    monkeypatch.setenv("LEUKKIT_CACHE_DIR", str(tmp_path / "own"))
    pixels.load(cells, Preparation(16))
    assert len(files(tmp_path / "own" / "pixels")) == 1


def test_an_image_that_went_away_is_named(cells, cache):
    pathlib.Path(cells["path"][3]).unlink()
    with pytest.raises(images.ImageError, match=r"3\.png: is gone; it was there when the cells"):
        pixels.load(cells, Preparation(16), cache)
    assert files(cache) == []


def test_a_damaged_image_leaves_no_file(cells, cache, monkeypatch):
    monkeypatch.setattr(pixels, "CHUNK_BYTES", 1)
    pathlib.Path(cells["path"][3]).write_bytes(b"")
    with pytest.raises(images.ImageError, match=r"3\.png: is empty"):
        pixels.load(cells, Preparation(16), cache)
    assert files(cache) == []


def test_images_without_a_nucleus_leave_no_file(cells, cache):
    with pytest.raises(segmentation.SegmentationError):
        pixels.load(cells, Preparation(16, segmentation={"threshold": 255}), cache)
    assert files(cache) == []


def test_too_little_space_is_said_before_anything_is_read(cells, cache, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(9, 9, 0))
    monkeypatch.setattr(preprocessing.images, "read_resized", None)
    expected = r"not enough space .*0 MB are free, 0 MB needed.*LEUKKIT_CACHE_DIR"
    with pytest.raises(OSError, match=expected) as raised:
        pixels.load(cells, Preparation(16), cache)
    assert raised.value.errno == errno.ENOSPC
    assert files(cache) == []


def test_a_disk_that_fills_up_leaves_no_half_file(cells, cache, monkeypatch):
    chunks = iter([prepare, None, None, None])

    def fills_up(chunk, preparation):
        if next(chunks) is None:
            raise OSError(errno.ENOSPC, "No space left on device")
        return prepare(chunk, preparation)

    monkeypatch.setattr(pixels, "CHUNK_BYTES", 1)
    monkeypatch.setattr(pixels, "prepare", fills_up)
    with pytest.raises(OSError, match=r"No space left on device\. Nothing was kept"):
        pixels.load(cells, Preparation(16), cache)
    assert files(cache) == []


def test_a_cached_file_that_was_cut_short_is_made_again(cells, cache):
    expected = np.asarray(pixels.load(cells, Preparation(16), cache))
    (path,) = files(cache)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.warns(UserWarning, match=r"pixels in .* are damaged .*made again"):
        found = pixels.load(cells, Preparation(16), cache)
    np.testing.assert_array_equal(np.asarray(found), expected)


def test_nothing_to_load(cells, cache):
    with pytest.raises(ValueError, match="the cells frame has no rows"):
        pixels.load(cells.iloc[:0], Preparation(16), cache)
    cells["sha256"] = cells["sha256"].where(cells["image_id"] != "cell-2")
    with pytest.raises(ValueError, match="1 images have no hash"):
        pixels.load(cells, Preparation(16), cache)


def test_channel_statistics_are_those_of_all_pixels_together(cells, cache, monkeypatch):
    monkeypatch.setattr(pixels, "CHUNK_BYTES", 2 * 16 * 16 * 3)
    found = pixels.load(cells, Preparation(16), cache)
    mean, deviation = pixels.channel_statistics(found, [0, 2, 3, 4, 2])
    values = np.asarray(found)[[0, 2, 3, 4, 2]].reshape(-1, 3).astype(float)
    np.testing.assert_allclose(mean, values.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(deviation, values.std(axis=0), rtol=1e-12)
