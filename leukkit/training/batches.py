"""Batches for training and for prediction, in an order and with draws that seeds alone decide."""

import collections
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from leukkit import augmentation, cache

FIRST_EPOCH_COPY = 1_000_000  # far above the fixed copies, so that an epoch repeats none of them


def training_batches(
    pixels: np.ndarray | cache.Rows,
    targets: ArrayLike,
    positions: ArrayLike,
    image_ids: ArrayLike,
    batch_size: int,
    *,
    seed: int,
    epoch: int,
    ranges: Mapping[str, Any] | None = None,
    threads: int = 2,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield one epoch of shuffled, and if wanted newly distorted, batches.

    All batches are full; the images that remain are left out of this epoch. (A last batch smaller
    than the number of devices leaves one of them empty, and then weights turn NaN silently.)

    Args:
        pixels: (n, …): uint8 images, or features of any type.
        targets: (n, classes), 1 for the image's class.
        positions: Of the images to train on.
        image_ids: n names.
        batch_size: Images in a batch.
        seed: Together with ``epoch`` it decides the order, and with the names the distortions.
        epoch: 0 or more.
        ranges: Of the augmentation (:func:`leukkit.augmentation.draw`); None or empty for none.
        threads: Number of threads that make batches ahead; the batches do not depend on it.

    Returns:
        Iterator of (batch of ``pixels``, float32 (batch_size, classes)).

    Raises:
        ValueError: The batch is larger than the part, the augmentation is unknown, or it is asked
            for on something other than uint8 images.
    """
    positions = np.asarray(positions)
    if batch_size > len(positions):
        raise ValueError(
            f"a batch of {batch_size} images is larger than the training part, which has "
            f"{len(positions)}; set batch_size to {len(positions)} or less, or use fewer folds"
        )
    if ranges:
        augmentation.check(ranges)
        if pixels.dtype != np.uint8 or len(pixels.shape) != 4:
            raise ValueError(
                f"augmentation is for uint8 images, found {pixels.dtype} of shape {pixels.shape}; "
                "leave it out when training on features"
            )
    order = np.random.default_rng([seed, epoch]).permutation(positions)
    classes, names = np.asarray(targets, np.float32), np.asarray(image_ids)

    def make(start):
        chosen = order[start : start + batch_size]
        batch = pixels[chosen]
        if ranges:
            for row, image_id in enumerate(names[chosen]):
                drawn = augmentation.draw(ranges, seed, image_id, FIRST_EPOCH_COPY + epoch)
                batch[row] = augmentation.apply(batch[row], drawn)
        return batch, classes[chosen]

    return _ahead(make, range(0, len(order) - batch_size + 1, batch_size), threads)


def padded_batches(
    pixels: np.ndarray | cache.Rows, positions: ArrayLike, batch_size: int
) -> Iterator[np.ndarray]:
    """Yield the images in the order of ``positions``, all batches full.

    The last batch is filled up by repeating its last image: the predictions for those rows are to
    be cut off. One shape for all batches, and a multiple of the number of devices.

    Args:
        pixels: (n, …).
        positions: Of the images.
        batch_size: Images in a batch.

    Yields:
        Array of shape (batch_size, …), of the type of ``pixels``.
    """
    positions = np.asarray(positions)
    for start in range(0, len(positions), batch_size):
        chosen = positions[start : start + batch_size]
        yield pixels[np.pad(chosen, (0, batch_size - len(chosen)), mode="edge")]


def _ahead(make, items, threads):
    """Yield ``make(item)`` in order, a few of them made ahead in threads."""
    pool = ThreadPoolExecutor(threads)
    waiting = collections.deque()
    try:
        for item in items:
            waiting.append(pool.submit(make, item))
            if len(waiting) > threads + 1:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:  # also when the training stops in the middle of an epoch
        pool.shutdown(cancel_futures=True)
