import threading

import numpy as np
import pytest

from leukkit.augmentation import apply, draw
from leukkit.training.batches import FIRST_EPOCH_COPY, padded_batches, training_batches

RANGES = {"rotation": 30, "flip_horizontal": True, "brightness": 0.2}
IDS = [f"cell-{number}" for number in range(20)]


@pytest.fixture(scope="module")
def images():
    """Return 20 images that tell their position: 10 times it, plus the number of the row."""
    values = 10 * np.arange(20)[:, None] + np.arange(8)
    return np.tile(values.astype(np.uint8)[:, :, None, None], (1, 1, 8, 3))


@pytest.fixture(scope="module")
def targets():
    return np.eye(4)[np.arange(20) % 4]


def collect(images, targets, positions=range(20), batch_size=6, **settings):
    settings = {"seed": 0, "epoch": 0} | settings
    batches = list(training_batches(images, targets, positions, IDS, batch_size, **settings))
    return [np.array(part) for part in zip(*batches, strict=True)]


def numbers(batches):
    """Return which images these are."""
    return batches[:, :, 0, 0, 0] // 10


def test_an_epoch_has_full_batches_of_different_images(images, targets):
    found, wanted = collect(images, targets)
    assert found.shape == (3, 6, 8, 8, 3) and found.dtype == np.uint8
    assert wanted.shape == (3, 6, 4) and wanted.dtype == np.float32
    assert len(np.unique(numbers(found))) == 18
    for batch, rows in zip(found, wanted, strict=True):
        chosen = batch[:, 0, 0, 0] // 10
        np.testing.assert_array_equal(batch, images[chosen])
        np.testing.assert_array_equal(rows, targets[chosen])


def test_only_the_training_positions_are_used(images, targets):
    positions = [1, 3, 5, 7, 11, 13]
    found, _ = collect(images, targets, positions, batch_size=3)
    assert sorted(numbers(found).ravel()) == positions


def test_the_order_follows_from_seed_and_epoch(images, targets):
    first, _ = collect(images, targets)
    np.testing.assert_array_equal(collect(images, targets, ranges={})[0], first)
    for changed in ({"seed": 1}, {"epoch": 1}):
        other = numbers(collect(images, targets, **changed)[0])
        assert (other != numbers(first)).any() and set(other.ravel()) != set(numbers(first).ravel())
    augmented, _ = collect(images, targets, ranges={"flip_vertical": True}, threads=3)
    same_rows = np.sort(augmented, axis=2)  # undoes a vertical flip
    np.testing.assert_array_equal(same_rows, np.sort(first, axis=2))


def test_augmentation_is_drawn_anew_for_each_image_and_epoch(images, targets):
    before = images.copy()
    for epoch in (0, 3):
        plain, _ = collect(images, targets, seed=5, epoch=epoch)
        found, _ = collect(images, targets, seed=5, epoch=epoch, ranges=RANGES)
        for position, image in zip(numbers(plain).ravel(), found.reshape(-1, 8, 8, 3), strict=True):
            drawn = draw(RANGES, 5, IDS[position], FIRST_EPOCH_COPY + epoch)
            np.testing.assert_array_equal(image, apply(images[position], drawn))
    np.testing.assert_array_equal(images, before)


@pytest.mark.parametrize("ranges", [None, RANGES])
def test_the_stream_does_not_depend_on_the_threads(images, targets, ranges):
    one, _ = collect(images, targets, batch_size=2, ranges=ranges, threads=1)
    four, _ = collect(images, targets, batch_size=2, ranges=ranges, threads=4)
    np.testing.assert_array_equal(one, four)


def test_features_are_served_as_they_are(targets):
    features = np.random.default_rng(0).normal(size=(20, 7)).astype(np.float32)
    found, wanted = collect(features, targets)
    assert found.dtype == np.float32
    rows = {tuple(row): number for number, row in enumerate(features)}
    chosen = [rows[tuple(row)] for row in found.reshape(-1, 7)]
    np.testing.assert_array_equal(wanted.reshape(-1, 4), targets[chosen])
    with pytest.raises(ValueError, match=r"uint8 images, found float32 of shape \(20, 7\)"):
        collect(features, targets, ranges=RANGES)


def test_mistakes_are_said_before_the_first_batch(images, targets):
    with pytest.raises(ValueError, match=r"batch of 6 images .* which has 5; set batch_size to 5"):
        training_batches(images, targets, range(5), IDS, 6, seed=0, epoch=0)
    with pytest.raises(ValueError, match="unknown augmentation 'rotate'"):
        collect(images, targets, ranges={"rotate": 3})


class Watched:
    """Count how many batches are taken from an array, and fail at one if asked."""

    def __init__(self, images, fail_at=None):
        self.images, self.fail_at, self.taken = images, fail_at, 0
        self.shape, self.dtype = images.shape, images.dtype
        self.lock = threading.Lock()

    def __getitem__(self, positions):
        with self.lock:
            self.taken += 1
            if self.taken == self.fail_at:
                raise OSError("the disk is gone")
        return self.images[positions]


def test_few_batches_are_made_ahead_and_none_after_the_end(images, targets):
    watched = Watched(images)
    batches = training_batches(watched, targets, range(20), IDS, 1, seed=0, epoch=0, threads=2)
    next(batches)
    assert watched.taken <= 4
    batches.close()
    assert watched.taken <= 4
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if "ThreadPoolExecutor" in name]


def test_an_error_in_a_thread_reaches_the_training(images, targets):
    watched = Watched(images, fail_at=2)
    batches = training_batches(watched, targets, range(20), IDS, 6, seed=0, epoch=0)
    with pytest.raises(OSError, match="the disk is gone"):
        list(batches)


def test_padded_batches_repeat_the_last_image(images):
    positions = [4, 1, 9, 9, 2]
    found = list(padded_batches(images, positions, 3))
    assert [batch.shape for batch in found] == [(3, 8, 8, 3)] * 2
    np.testing.assert_array_equal(np.concatenate(found), images[[4, 1, 9, 9, 2, 2]])
    np.testing.assert_array_equal(np.concatenate(found)[:5], images[positions])
    (small,) = padded_batches(images, [3], 4)
    np.testing.assert_array_equal(small, images[[3, 3, 3, 3]])
    (exact,) = padded_batches(images, [3, 5], 2)
    np.testing.assert_array_equal(exact, images[[3, 5]])
    assert list(padded_batches(images, [], 4)) == []

    features = np.arange(10, dtype=np.float32).reshape(5, 2)
    found = np.concatenate(list(padded_batches(features, np.arange(5), 4)))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, features[[0, 1, 2, 3, 4, 4, 4, 4]])
