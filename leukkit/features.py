"""Feature vectors of images from a frozen network (farag2025, III.F), each computed only once."""

import functools
import hashlib
import json
import pathlib

import numpy as np
import pandas as pd

from leukkit import feature_cache, files
from leukkit.files import progress
from leukkit.models import build_backbone, find_backbone, prepare_input, weights_id
from leukkit.preprocessing import Preparation, prepare

__all__ = ["NORMALIZATIONS", "extract", "weights_id"]

NORMALIZATIONS = ("backbone", "unit")


def extract(
    cells,
    backbone,
    image_size=224,
    weights="imagenet",
    cache_dir=None,
    *,
    segmentation=None,
    seed=0,
    normalization="backbone",
    batch_size=32,
):
    """Return one feature vector for each image, from the cache where it is there.

    What is cached for an image depends on the bytes of its file and on everything that is done to
    them, not on its path, its row or the other images. When all features are cached the network
    is not built and TensorFlow is not imported.

    Args:
        cells: The cells frame, augmented copies included if it was expanded.
        backbone: A name in ``leukkit.models.BACKBONES``.
        image_size: Side of the network's input in pixels, at least 32.
        weights: ``"imagenet"``, the path of a weights file, or None for random weights.
        cache_dir: Folder of the cache; None for ``features`` in ``leukkit``'s own cache.
        segmentation: None, or the keywords of ``segment_nucleus``; ``{}`` for the paper's.
        seed: Of the augmented copies, and of random weights.
        normalization: ``"backbone"``, each network's own ``preprocess_input``, or ``"unit"``,
            pixels divided by 255 as the paper states (III.C.3).
        batch_size: Images that go through the network at once.

    Returns:
        float32 (images, features), rows in the order of ``cells``.

    Raises:
        ValueError: Unknown backbone or normalization, an image too small, a row without hash, or
            features that are not finite.
        leukkit.models.WeightsError: The weights cannot be downloaded or are another network's.
        FileNotFoundError: The weights file does not exist.
        leukkit.images.ImageError: An image cannot be read.
        OSError: The cache folder cannot be written to.
    """
    if normalization not in NORMALIZATIONS:
        raise ValueError(f"unknown normalization {normalization!r}; choose from {NORMALIZATIONS}")
    if cells["sha256"].isna().any():
        raise ValueError(
            f"{cells['sha256'].isna().sum()} images have no hash in the column sha256; "
            "load the cells with leukkit.datasets.load"
        )
    preparation = Preparation(image_size, segmentation, seed)
    network_settings = {
        "backbone": backbone,
        "weights": weights_id(backbone, weights, seed),
        "normalization": normalization,
    }
    keys = _keys(cells, preparation, network_settings)
    folder = _folder(cache_dir, preparation, network_settings)

    # Byte-identical images have equal keys: each key is computed once.
    numbers, distinct = pd.factorize(np.array(keys, dtype=object))
    _, positions = np.unique(numbers, return_index=True)  # of each key's first image
    table = np.empty((len(distinct), find_backbone(backbone).features), np.float32)
    found = feature_cache.read(folder, list(distinct), table)
    if not found.all():
        network = _network(backbone, image_size, weights, seed, network_settings["weights"])
        missing = np.flatnonzero(~found)
        batches = _batches(cells.iloc[positions[missing]], preparation, batch_size)
        total = -(-len(missing) // batch_size)
        done = flushed = 0
        for images in progress(batches, f"{backbone} features", total=total, unit="chunk"):
            rows = _predict(network, backbone, images, normalization, batch_size)
            table[missing[done : done + len(rows)]] = rows
            done += len(rows)
            if done - flushed >= feature_cache.SHARD_ROWS or done == len(missing):
                written = missing[flushed:done]
                feature_cache.write(folder, list(distinct[written]), table[written])
                flushed = done
    return table[numbers]


def network_input(images, backbone, normalization):
    """Return uint8 images as the backbone takes them: float32, scaled as ``normalization`` says.

    Args:
        images: uint8 (n, side, side, 3).
        backbone: Name of the network.
        normalization: As `extract`.
    """
    return images / np.float32(255) if normalization == "unit" else prepare_input(backbone, images)


@functools.lru_cache(maxsize=8)  # a paper's extractors: tracing one can take longer than its images
def _network(backbone, image_size, weights, seed, weights_id):
    """Return the built network; the weights' id is there so that a changed file is read anew."""
    return build_backbone(backbone, image_size, weights, seed)


def _batches(cells, preparation, batch_size):
    """Yield the pixels of the images, ``batch_size`` at a time; few are in memory at once."""
    at_once = batch_size * max(1, feature_cache.SHARD_ROWS // batch_size)
    for start in range(0, len(cells), at_once):
        images = prepare(cells.iloc[start : start + at_once], preparation)
        for first in range(0, len(images), batch_size):
            yield images[first : first + batch_size]


def _predict(network, backbone, images, normalization, batch_size):
    """Return the features of at most ``batch_size`` images.

    The last batch is padded: a second input shape would have the network traced again.
    """
    padding = [(0, batch_size - len(images)), (0, 0), (0, 0), (0, 0)]
    pixels = network_input(np.pad(images, padding), backbone, normalization)
    rows = network.predict_on_batch(pixels)[: len(images)]
    if not np.isfinite(rows).all():
        raise ValueError(
            f"{backbone} gave features that are not finite (NaN or infinite); its weights are "
            "damaged or are not made for this normalization. Check the weights file"
        )
    return rows


def _folder(cache_dir, preparation, network_settings):
    """Return the cache folder of one network and one way to prepare images.

    One folder for each, so that a run reads the shards it can use and no others.
    """
    steps = preparation.description()
    digest = hashlib.sha256((json.dumps(network_settings, sort_keys=True) + steps).encode())
    root = pathlib.Path(cache_dir) if cache_dir else files.cache_dir() / "features"
    name = f"{network_settings['backbone']}-{preparation.image_size}-{digest.hexdigest()[:16]}"
    return root / name


def _keys(cells, preparation, network_settings):
    """Return the 32-byte cache key of each image."""
    shared = hashlib.sha256(json.dumps(network_settings, sort_keys=True).encode())
    keys = []
    for file_hash, steps in zip(cells["sha256"], preparation.descriptions(cells), strict=True):
        key = shared.copy()
        key.update(f"\n{file_hash}\n{steps}".encode())
        keys.append(key.digest())
    return keys
