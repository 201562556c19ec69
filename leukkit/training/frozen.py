"""Feature maps of a frozen backbone: each image goes through it once, not once per epoch."""

import hashlib

import numpy as np

from leukkit import locations
from leukkit.training import network
from leukkit.writing import replace_when_done


def feature_maps(recipe, pixels, cells, preparation, seed, batch_size=32):
    """Return the feature maps of all images, from the cache if they are there.

    Args:
        recipe: A `Recipe` whose backbone never changes.
        pixels: uint8 (images, side, side, 3).
        cells: The frame of the images.
        preparation: What made the pixels.
        seed: Of random weights.
        batch_size: Images that go through the network at once.

    Returns:
        float32 (images, height, width, channels), memory-mapped.
    """
    key = [
        recipe.network,
        recipe.normalization,
        str(recipe.mixed_precision),
        network.weights_used(recipe, seed),
        *cells["sha256"].astype(str),
        *preparation.descriptions(cells),
    ]
    name = hashlib.sha256("\n".join(key).encode()).hexdigest()
    path = locations.cache_dir() / "feature-maps" / f"{name}.npy"
    if not path.exists():
        _make(recipe, pixels, seed, path, batch_size)
    return np.load(path, mmap_mode="r")


def _make(recipe, pixels, seed, path, batch_size):
    import keras

    from leukkit.progress import progress

    whole = network.build(recipe, 2, None, seed)
    backbone = keras.Model(whole.input, whole.get_layer("features").output)
    shape = (len(pixels), *backbone.output_shape[1:])
    starts = range(0, len(pixels), batch_size)
    with replace_when_done(path) as temporary:
        maps = np.lib.format.open_memmap(temporary, "w+", np.float32, shape)
        for start in progress(starts, f"{recipe.network} feature maps", unit="batch"):
            images = np.asarray(pixels[start : start + batch_size])
            padded = np.pad(
                images, [(0, batch_size - len(images)), (0, 0), (0, 0), (0, 0)], mode="edge"
            )
            values = backbone.predict_on_batch(padded.astype(np.float32))
            maps[start : start + len(images)] = values[: len(images)]
        maps.flush()
        del maps
