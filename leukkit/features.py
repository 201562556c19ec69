"""What a frozen network sees in images, each computed only once (farag2025, III.F)."""

import functools
import hashlib
import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from leukkit import cache, environment, files
from leukkit.images import Preparation, Stain, keys, prepare
from leukkit.models import build_backbone, feature_count, prepare_input, weights_id

if TYPE_CHECKING:
    import keras

NORMALIZATIONS = ("backbone", "unit")
BATCH = 32  # images that go through a network at once


def extract(
    cells: pd.DataFrame,
    backbone: str,
    image_size: int = 224,
    weights: str | os.PathLike | None = "imagenet",
    cache_dir: str | os.PathLike | None = None,
    *,
    segmentation: Mapping[str, Any] | None = None,
    stain: Stain | None = None,
    seed: int = 0,
    normalization: str = "backbone",
    distortion: Mapping[str, Any] | None = None,
    width: float = 1.0,
) -> np.ndarray:
    """Return one feature vector for each image, from the cache where it is there.

    What is cached for an image depends on the bytes of its file and on everything that is done to
    them, not on its path, its row or the other images. When all features are cached the network
    is not built and TensorFlow is not imported.

    Args:
        cells: The cells frame, augmented copies included if it was expanded.
        backbone: A name in ``leukkit.models.BACKBONES``.
        image_size: Side of the network's input in pixels, at least 32.
        weights: ``"imagenet"``, ``"synthetic"``, the path of a weights file, or None for random
            weights.
        cache_dir: Folder of the cache; None for ``features`` in ``leukkit``'s own cache.
        segmentation: None, or what `leukkit.images.Preparation` takes.
        stain: Likewise.
        seed: Of the augmented copies, and of random weights.
        normalization: ``"backbone"``, each network's own ``preprocess_input``, or ``"unit"``,
            pixels divided by 255 as the paper states (III.C.3).
        distortion: What happens to the augmented copies; None where there are none.
        width: Share of the channels of each layer, as `leukkit.models.build` takes it.

    Returns:
        float32 (images, features), rows in the order of ``cells``.

    Raises:
        ValueError: Unknown backbone or normalization, an image too small, a row without hash,
            copies without ``distortion``, or features that are not finite.
        leukkit.models.WeightsError: The weights cannot be downloaded or are another network's.
        leukkit.images.ImageError: An image cannot be read.
        OSError: The cache folder cannot be written to, or has too little space.
    """
    if normalization not in NORMALIZATIONS:
        raise ValueError(f"unknown normalization {normalization!r}; choose from {NORMALIZATIONS}")
    preparation = Preparation(image_size, segmentation, seed, distortion, stain)
    used = weights_id(backbone, weights, seed, width)
    settings = json.dumps([backbone, used, normalization])

    def make(positions):
        network = _network(backbone, image_size, weights, seed, width, used)
        images = prepare(cells.iloc[positions], preparation)
        scale = functools.partial(network_input, backbone=backbone, normalization=normalization)
        return _rows(network, images, scale)

    root = pathlib.Path(cache_dir) if cache_dir else files.cache_dir() / "features"
    return np.asarray(
        cache.rows(
            root / f"{backbone}-{image_size}-{_digest(settings, preparation.description())}",
            keys(cells, preparation, settings),
            make,
            (feature_count(backbone, width),),
            np.float32,
            f"{backbone} features",
        )
    )


def feature_maps(
    network: "keras.Model",
    pixels: np.ndarray | cache.Rows,
    pixel_keys: Sequence[bytes],
    made_by: str,
    cache_dir: str | os.PathLike | None = None,
) -> cache.Rows:
    """Return what a network makes of each image, from the cache where it is there.

    Of a backbone whose layers never change: each image goes through it once, not once per epoch.

    Args:
        network: From pixels (n, side, side, 3) to feature maps (n, height, width, channels).
        pixels: uint8 (images, side, side, 3).
        pixel_keys: What the pixels are made of, as :func:`leukkit.images.keys` says it.
        made_by: A text that tells all that the network depends on: name, weights, precision, …
        cache_dir: Folder of the cache; None for ``feature-maps`` in ``leukkit``'s own cache.

    Returns:
        float32 (images, height, width, channels), mapped into memory.

    Raises:
        ValueError: Maps that are not finite.
        OSError: The cache folder cannot be written to, or has too little space.
    """
    root = pathlib.Path(cache_dir) if cache_dir else files.cache_dir() / "feature-maps"
    made_by += f"\n{network.input_shape}"
    return cache.rows(
        root / _digest(made_by),
        [hashlib.sha256(made_by.encode() + key).digest() for key in pixel_keys],
        lambda positions: _rows(network, pixels[np.array(positions)], np.float32),
        network.output_shape[1:],
        np.float32,
        "feature maps",
    )


def network_input(images: np.ndarray, backbone: str, normalization: str) -> np.ndarray:
    """Return uint8 images as the backbone takes them: float32, scaled as ``normalization`` says.

    Args:
        images: uint8 (n, side, side, 3).
        backbone: Name of the network.
        normalization: As `extract`.
    """
    return images / np.float32(255) if normalization == "unit" else prepare_input(backbone, images)


@functools.lru_cache(maxsize=8)  # a paper's extractors: tracing one can take longer than its images
def _network(backbone, image_size, weights, seed, width, weights_id):
    """Return the built network; the weights' id is there so that a changed file is read anew."""
    environment.start_tensorflow()
    return build_backbone(backbone, image_size, weights, seed, width)


def _rows(network, images, scale):
    """Yield what the network gives for images, which ``scale`` makes floating-point, in batches.

    A last batch is filled up: a second input shape would have the network traced again.
    """
    for start in range(0, len(images), BATCH):
        batch = scale(images[start : start + BATCH])
        padding = [(0, BATCH - len(batch)), (0, 0), (0, 0), (0, 0)]
        rows = network.predict_on_batch(np.pad(batch, padding, mode="edge"))[: len(batch)]
        if not np.isfinite(rows).all():
            raise ValueError(
                f"{network.name} gave features that are not finite (NaN or infinite); its weights "
                "are damaged or are not made for this normalization. Check the weights file"
            )
        yield rows


def _digest(*parts):
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
