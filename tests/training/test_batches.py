import numpy as np
import pytest

from leukkit import training
from leukkit.augmentation import apply, draw
from leukkit.splits import Fold
from leukkit.training import batches
from leukkit.training.batches import FIRST_EPOCH_COPY, Images, training_batch

RANGES = {"rotation": 30, "flip_horizontal": True, "brightness": 0.2}
HASHES = np.array([f"{number % 18:064x}" for number in range(20)], object)
COPIES = np.array([0] * 18 + [1, 2])  # of the first two
TARGETS = np.eye(4, dtype=np.float32)[np.arange(20) % 4]


@pytest.fixture(scope="module")
def pixels():
    """Return 20 images that tell their position: 10 times it, plus the number of the row."""
    values = 10 * np.arange(20)[:, None] + np.arange(8)
    return np.tile(values.astype(np.uint8)[:, :, None, None], (1, 1, 8, 3))


def epoch_of(inputs, positions=range(20), *, size=6, ranges=None, seed=0, epoch=0):
    """Return all batches of an epoch, as the network gets them."""
    phases = [{"epochs": 1, "learning_rate": 1e-3}]
    recipe = training.Recipe(
        network="tiny", image_size=8, phases=phases, batch_size=size, augmentation=ranges or {}
    )
    fold = Fold(np.array(positions), np.array([]), np.array([]))
    make = training_batch(Images(inputs, TARGETS, HASHES, COPIES, fold), recipe, seed, epoch)
    made = batches.ahead(make, len(positions) // size)
    return [np.array(part) for part in zip(*made, strict=True)]


def numbers(found):
    """Return which images these are."""
    return found[:, :, 0, 0, 0].astype(int) // 10


def test_an_epoch_has_full_batches_of_different_images(pixels):
    found, wanted = epoch_of(pixels)
    assert found.shape == (3, 6, 8, 8, 3) and found.dtype == np.float32
    assert wanted.shape == (3, 6, 4) and wanted.dtype == np.float32
    assert len(np.unique(numbers(found))) == 18
    np.testing.assert_array_equal(found, pixels[numbers(found)])
    np.testing.assert_array_equal(wanted, TARGETS[numbers(found)])


def test_only_the_training_positions_are_used(pixels):
    positions = [1, 3, 5, 7, 11, 13]
    found, _ = epoch_of(pixels, positions, size=3)
    assert sorted(numbers(found).ravel()) == positions


def test_the_order_follows_from_seed_and_epoch(pixels):
    first, _ = epoch_of(pixels)
    np.testing.assert_array_equal(epoch_of(pixels)[0], first)
    for changed in ({"seed": 1}, {"epoch": 1}):
        other = numbers(epoch_of(pixels, **changed)[0])
        assert (other != numbers(first)).any() and set(other.ravel()) != set(numbers(first).ravel())


def test_augmentation_is_drawn_anew_for_each_image_and_epoch(pixels):
    before = pixels.copy()
    for epoch in (0, 3):
        plain, _ = epoch_of(pixels, seed=5, epoch=epoch)
        found, _ = epoch_of(pixels, seed=5, epoch=epoch, ranges=RANGES)
        for position, image in zip(numbers(plain).ravel(), found.reshape(-1, 8, 8, 3), strict=True):
            number = (1 + COPIES[position]) * FIRST_EPOCH_COPY + epoch
            drawn = draw(RANGES, 5, HASHES[position], number)
            np.testing.assert_array_equal(image, apply(pixels[position], drawn))
    np.testing.assert_array_equal(pixels, before)


def test_the_stream_does_not_depend_on_the_threads(pixels, monkeypatch):
    two, _ = epoch_of(pixels, size=2, ranges=RANGES)
    monkeypatch.setattr(batches, "THREADS", 4)
    np.testing.assert_array_equal(epoch_of(pixels, size=2, ranges=RANGES)[0], two)


def test_features_are_served_as_they_are():
    features = np.random.default_rng(0).normal(size=(20, 7)).astype(np.float32)
    found, wanted = epoch_of(features)
    rows = {tuple(row): number for number, row in enumerate(features)}
    chosen = [rows[tuple(row)] for row in found.reshape(-1, 7)]
    np.testing.assert_array_equal(wanted.reshape(-1, 4), TARGETS[chosen])
    with pytest.raises(ValueError, match=r"uint8 images, found float32 of shape \(20, 7\)"):
        epoch_of(features, ranges=RANGES)


def test_mistakes_are_said_before_the_first_batch(pixels):
    with pytest.raises(ValueError, match=r"batch of 6 images .* which has 5; set batch_size to 5"):
        epoch_of(pixels, range(5))
    with pytest.raises(ValueError, match="unknown augmentation 'rotate'"):
        epoch_of(pixels, ranges={"rotate": 3})


def test_an_error_in_a_thread_reaches_the_training():
    def make(number):
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        list(batches.ahead(make, 3))


@pytest.mark.parametrize(
    ("positions", "size", "expected"),
    [
        ([4, 1, 9, 9, 2], 3, [4, 1, 9, 9, 2, 2]),
        ([3], 4, [3, 3, 3, 3]),
        ([3, 5], 2, [3, 5]),
    ],
)
def test_padded_batches_repeat_the_last_image(pixels, positions, size, expected):
    make = batches.padded_batch(pixels, positions, size)
    found = [make(number) for number in range(len(expected) // size)]
    assert [batch.shape for batch in found] == [(size, 8, 8, 3)] * len(found)
    np.testing.assert_array_equal(np.concatenate(found), pixels[expected])
    assert found[0].dtype == np.float32
