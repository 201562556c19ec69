"""Build the networks that the papers train: normalization, flat backbone, head."""

import math
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING
from unittest import mock

from leukkit import environment
from leukkit.models import backbones
from leukkit.models.backbones import BACKBONES, WeightsError, check_image_size
from leukkit.models.heads import Head, build_head
from leukkit.models.weights import (
    MOST_PARAMETERS,
    WORDS,
    Weights,
    check_declared,
    has_dense_weights,
    load_vgg19_dense,
    set_random_weights,
    set_weights,
    weights_file,
)

if TYPE_CHECKING:
    import keras

DEX = ("densenet121", "efficientnetb7", "xception")  # sultana, the ensemble's three members
NAMES = (*BACKBONES, "dex")
NORMALIZATIONS = ("backbone", "unit", "z-score")
MOST_OUTPUTS = 100_000_000  # of one layer for one image; 600 x 600 x 64 are 23 million


def build(
    network: str,
    classes: int,
    image_size: int,
    weights: Weights | dict[str, Weights] = None,
    head: str | Head | None = None,
    *,
    normalization: str = "backbone",
    statistics: Sequence[Sequence[float]] | None = None,
    seed: int = 0,
    width: float = 1.0,
) -> "keras.Model":
    """Build a network that takes raw pixels and gives class probabilities, not compiled.

    Its layers: the normalization, the layers of the backbone one by one, "features" (the last
    feature map, n x h x w x channels) and one nested ``keras.Model`` "head", whose last layer is
    "predictions". In "dex" (sultana, DEX) three such networks are nested, named as they are called
    here, and the mean of their probabilities is the output.

    Args:
        network: A backbone, or "dex": a name in ``leukkit.models.NAMES``.
        classes: Number of classes, at least 2.
        image_size: Side of the square input in pixels.
        weights: Of the backbone: None, random from ``seed``; ``"imagenet"``, downloaded at first
            use into ``KERAS_HOME``; ``"synthetic"``, the kit's own for a small ``width``, trained
            on drawn cells (``tools/synthetic_weights.py``); or the path of a file without the top
            (.h5, .keras; .safetensors with torch's names for resnet18, googlenet, shufflenet,
            seresnet152). "dex" takes a dict of its members' weights instead of a path. The head's
            are random, save fc1 and fc2 of VGG-19 with "vgg_dense" and ``"imagenet"`` at 224
            pixels. The address for resnet18 (timm's file) has not been tried.
        head: What stands on the backbone: a name in ``leukkit.models.heads.HEADS``, or a function
            from the feature map, a Keras tensor (n, h, w, channels), to one vector per image
            (n, values), which enters the layer "predictions". None for "pooled". Each member of
            "dex" gets one.
        normalization: ``"backbone"``, as the network's ImageNet weights want it; ``"unit"``,
            divided by 255 (EfficientNet then does so a second time inside: samhitha, IV.B.1);
            ``"z-score"`` (patel2025, Eq. 1).
        statistics: For ``"z-score"``, and for it alone: means and standard deviations of the red,
            green and blue values (0..255) of the training images, three of each.
        seed: Of all random weights; those of a head of your own as far as they are kernels.
        width: Share of the channels that each layer has, above 0 and at most 1. Below 1, kinds,
            names and order of the layers stay as they are, and there are no ImageNet weights.

    Returns:
        A network from float32 (n, image_size, image_size, 3), RGB, 0..255, to float32
        (n, classes).

    Raises:
        ValueError: Unknown name, head or normalization, statistics that do not go with it, fewer
            than two classes, images too small for this network, a head that gives something else,
            or Keras's settings are other ones (`environment.check_keras`).
        WeightsError: The weights cannot be downloaded, read, or fitted to this network.
    """
    if network not in NAMES:
        raise ValueError(
            f"unknown network {network!r}; choose one of: {', '.join(NAMES)}. What stands on it is "
            "chosen with head"
        )
    if classes < 2:
        raise ValueError(f"classes is {classes}; {network} needs at least 2 to tell apart")
    if normalization not in NORMALIZATIONS:
        raise ValueError(f"unknown normalization {normalization!r}; choose from {NORMALIZATIONS}")
    settings = {
        "normalization": normalization,
        "statistics": statistics,
        "seed": seed,
        "width": width,
    }
    environment.check_keras()
    if network == "dex":
        return _build_dex(classes, image_size, weights, head, settings)

    import keras

    from leukkit.models.normalize import Normalize

    check_image_size(network, image_size)
    mode = BACKBONES[network].normalization if normalization == "backbone" else normalization
    normalize = Normalize(mode, *(() if statistics is None else statistics), name="normalize")
    path = weights_file(network, weights, width)
    image = keras.Input((image_size, image_size, 3), name="image")
    features = backbones.feature_map(network, normalize(image))
    features = keras.layers.Identity(name="features")(features)
    top = build_head(head, features.shape[1:], classes)
    trunk = keras.Model(image, features, name=network)
    if width != 1:
        trunk = backbones.narrow(trunk, width)
        top = backbones.narrow(top, width, trunk.output_shape[-1])
    whole = keras.Model(trunk.input, top(trunk.output), name=network)

    set_random_weights(top, seed)
    if has_dense_weights(network, weights, image_size, head):
        load_vgg19_dense(top)
    set_weights(trunk, path, seed)
    return whole


def build_backbone(
    name: str,
    image_size: int = 224,
    weights: Weights = "imagenet",
    seed: int = 0,
    width: float = 1.0,
) -> "keras.Model":
    """Build a feature extractor: images in, one vector of global averages out.

    Args:
        name: A name in ``BACKBONES``.
        image_size: Side of the square input, in pixels, at least the network's smallest.
        weights: As for ``build``.
        seed: Seed of the random weights; not used otherwise.
        width: As for ``build``.

    Returns:
        A network from float32 (n, image_size, image_size, 3), as ``prepare_input`` gives them, to
        float32 (n, features).

    Raises:
        ValueError: Unknown name, an image size below the smallest, or `environment.check_keras`.
        WeightsError: The weights cannot be downloaded, read, or fitted to this network.
    """
    check_image_size(name, image_size)
    path = weights_file(name, weights, width)
    environment.check_keras(dtype_policy="float32")

    import keras

    pixels = keras.Input((image_size, image_size, 3), name="pixels")
    features = backbones.feature_map(name, pixels)
    averages = keras.layers.GlobalAveragePooling2D(name="global_average")(features)
    network = keras.Model(pixels, averages, name=name)
    if width != 1:
        network = backbones.narrow(network, width)
    set_weights(network, path, seed)
    return network


def load(path: str | os.PathLike) -> "keras.Model":
    """Return a network that was saved as a .keras file, not compiled; runs no code of the file.

    ``keras.models.load_model`` does the same once ``leukkit.models.normalize`` is imported, but
    takes as much memory as a file asks for.

    Raises:
        ValueError: The file holds code, or is larger than any network of the kit, or as
            `environment.check_keras`; a damaged one may raise anything.
    """
    import keras

    import leukkit.models.normalize  # noqa: F401  # makes its layer known to Keras

    environment.check_keras()
    check_declared(path)
    add, left = keras.Layer.add_weight, MOST_PARAMETERS

    def add_if_small(layer, shape=None, *arguments, **options):
        nonlocal left
        left -= math.prod(shape or ())
        if left < 0:
            raise ValueError(f"it has more than {MOST_PARAMETERS:,} parameters")
        return add(layer, shape, *arguments, **options)

    # Before Keras allocates them, and it gives no other place to say so.
    with _safe_mode(), mock.patch.object(keras.Layer, "add_weight", add_if_small):
        network = keras.models.load_model(path, compile=False)
    nodes = [node for layer in network._flatten_layers() for node in layer._inbound_nodes]
    maps = [output.shape[1:] for node in nodes for output in node.output_tensors]
    if max(math.prod(filter(None, shape)) for shape in maps) > MOST_OUTPUTS:
        raise ValueError(f"a layer of it gives more than {MOST_OUTPUTS:,} numbers for an image")
    return network


def can_be_saved(network: "keras.Model") -> bool:
    """Return whether ``load`` will bring ``network`` back once it is saved.

    A .keras file holds the names of layers and functions, not their code. Keras knows its own and
    those that are registered (``@keras.saving.register_keras_serializable()``); it refuses lambdas.
    """
    import keras

    try:
        with _safe_mode():
            keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(network))
    except Exception:  # a layer of a reader's own may raise anything, and would when it is saved
        return False
    return True


def _safe_mode():
    """Return what ``keras.config.enable_unsafe_deserialization()`` cannot overrule."""
    from keras.src.saving.serialization_lib import SafeModeScope  # not public

    return SafeModeScope(True)


def _build_dex(classes, image_size, weights, head, settings):
    """Build sultana's ensemble: the mean of the soft-max outputs of its members."""
    import keras

    by_member = weights if isinstance(weights, dict) else dict.fromkeys(DEX, weights)
    if set(by_member) != set(DEX) or not (by_member is weights or weights in (None, *WORDS)):
        raise WeightsError(
            f"weights of dex: {weights!r}; expected {', '.join(WORDS)} or None for all three "
            f"networks, or a dict with the weights of each of {', '.join(DEX)}"
        )
    for member in DEX:
        check_image_size(member, image_size)
    image = keras.Input((image_size, image_size, 3), name="image")
    outputs = [
        build(member, classes, image_size, by_member[member], head, **settings)(image)
        for member in DEX
    ]
    mean = keras.layers.Average(dtype="float32", name="mean")(outputs)
    return keras.Model(image, mean, name="dex")
