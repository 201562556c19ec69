"""Batches for training and for prediction, in an order and with draws that seeds alone decide."""

import collections
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from leukkit import augmentation, cache, splits
from leukkit.schemas import Recipe

FIRST_EPOCH_COPY = 1_000_000  # far above the fixed copies, so that an epoch repeats none of them
THREADS = 2  # that make batches ahead; the batches do not depend on it


class Images(NamedTuple):
    """What a network is fitted and tested on.

    Attributes:
        inputs: uint8 images (n, side, side, 3), or float32 feature maps (n, height, width, c).
        targets: float32 (n, classes), 1 at the class of the image.
        hashes: n texts, of the pixels of each original.
        copies: n numbers, 0 for an original.
        fold: A `splits.Fold` of positions.
    """

    inputs: np.ndarray | cache.Rows
    targets: np.ndarray
    hashes: np.ndarray
    copies: np.ndarray
    fold: splits.Fold


def training_batch(
    images: Images, recipe: Recipe, seed: int, epoch: int
) -> Callable[[int], tuple[np.ndarray, np.ndarray]]:
    """Return the function that makes one batch of an epoch, given its number.

    The batches are shuffled, and if the recipe wants it newly distorted, by ``seed`` and ``epoch``
    alone. All are full; the images that remain are left out of this epoch. (A last batch smaller
    than the number of devices leaves one of them empty, and then weights turn NaN silently.)

    Returns:
        Function from a number to float32 images (batch_size, …) and targets (batch_size, classes).

    Raises:
        ValueError: The batch is larger than the part, the augmentation is unknown, or it is asked
            for on something other than uint8 images.
    """
    inputs, ranges, size = images.inputs, recipe.augmentation, recipe.batch_size
    positions = np.asarray(images.fold.train)
    if size > len(positions):
        raise ValueError(
            f"a batch of {size} images is larger than the training part, which has "
            f"{len(positions)}; set batch_size to {len(positions)} or less, or use fewer folds"
        )
    if ranges:
        augmentation.check(ranges)
        if inputs.dtype != np.uint8 or len(inputs.shape) != 4:
            raise ValueError(
                f"augmentation is for uint8 images, found {inputs.dtype} of shape {inputs.shape}; "
                "leave it out when training on features"
            )
    order = np.random.default_rng([seed, epoch]).permutation(positions)

    def make(number: int) -> tuple[np.ndarray, np.ndarray]:
        chosen = order[number * size : (number + 1) * size]
        batch = inputs[chosen]
        if ranges:
            for row, position in enumerate(chosen):
                copy = (1 + images.copies[position]) * FIRST_EPOCH_COPY + epoch
                drawn = augmentation.draw(ranges, seed, images.hashes[position], copy)
                batch[row] = augmentation.apply(batch[row], drawn)
        return batch.astype(np.float32), images.targets[chosen]

    return make


def padded_batch(
    inputs: np.ndarray | cache.Rows, positions: ArrayLike, batch_size: int
) -> Callable[[int], np.ndarray]:
    """Return the function that makes one batch of images in the order of ``positions``.

    The last batch is filled up by repeating its last image: the predictions for those rows are to
    be cut off. One shape for all batches, and a multiple of the number of devices.
    """
    positions = np.asarray(positions)

    def make(number: int) -> np.ndarray:
        chosen = positions[number * batch_size : (number + 1) * batch_size]
        chosen = np.pad(chosen, (0, batch_size - len(chosen)), mode="edge")
        return inputs[chosen].astype(np.float32)

    return make


def ahead(make: Callable[[int], Any], number: int) -> Iterator[Any]:
    """Yield batches in order, the next ones made in threads while one is in use.

    Args:
        make: Gives a batch by its number.
        number: Of batches.
    """
    with ThreadPoolExecutor(THREADS) as pool:
        waiting = collections.deque(pool.submit(make, one) for one in range(min(number, THREADS)))
        for one in range(number):
            batch = waiting.popleft().result()
            if one + THREADS < number:
                waiting.append(pool.submit(make, one + THREADS))
            yield batch
