"""Build the networks that the papers train: normalization, flat backbone, head."""

import pathlib

from leukkit.models import backbones, catalog
from leukkit.models.backbones import BACKBONES, WeightsError, check_image_size
from leukkit.models.weights import (
    VGG19_IMAGE_SIZE,
    draw_weights,
    load_vgg19_top,
    load_weights,
    sha256,
    vgg19_top_file,
    weights_file,
)

NORMALIZATIONS = ("backbone", "unit", "z-score")


def build(
    name,
    classes,
    image_size,
    weights=None,
    *,
    normalization="backbone",
    statistics=None,
    seed=0,
):
    """Build a network that takes raw pixels and gives class probabilities, not compiled.

    Its layers: the normalization, the layers of the backbone one by one, "features" (the last
    feature map, n x h x w x channels) and one nested ``keras.Model`` "head", whose last layer is
    "predictions". In "dex" (sultana, DEX) three such networks are nested, named as they are called
    here, and the mean of their probabilities is the output.

    Args:
        name: A name in ``leukkit.models.NAMES``.
        classes: Number of classes, at least 2.
        image_size: Side of the square input in pixels.
        weights: Of the backbone: None, drawn from ``seed``; ``"imagenet"``, downloaded at first
            use into ``KERAS_HOME``; or the path of a file without the top (.h5, .keras;
            .safetensors with torch's names for resnet18, googlenet, shufflenet, seresnet152).
            "dex" takes a dict of its members' weights instead of a path. The head's are drawn,
            save VGG-19's fc1 and fc2 with ``"imagenet"`` at 224 pixels. The addresses for
            resnet18 and seresnet152 (timm's files) have not been tried.
        normalization: ``"backbone"``, as the network's ImageNet weights want it; ``"unit"``,
            divided by 255 (EfficientNet then does so a second time inside: samhitha, IV.B.1);
            ``"z-score"`` (patel2025, Eq. 1).
        statistics: For ``"z-score"``, and for it alone: means and standard deviations of the red,
            green and blue values (0..255) of the training images, three of each.
        seed: Of all weights that are drawn.

    Returns:
        A ``keras.Model`` from float32 (n, image_size, image_size, 3), RGB, 0..255, to float32
        (n, classes).

    Raises:
        ValueError: Unknown name or normalization, statistics that do not go with it, fewer than
            two classes, images too small for this network.
        WeightsError: The weights cannot be downloaded, read, or fitted to this network.
        FileNotFoundError: The weights file does not exist.
    """
    _check(name, classes, normalization, statistics)
    settings = {"normalization": normalization, "statistics": statistics, "seed": seed}
    if name == "dex":
        return _build_dex(classes, image_size, weights, settings)

    import keras

    from leukkit.models.heads import build_head
    from leukkit.models.normalize import Normalize

    backbone, head_kind = catalog.parts(name)
    check_image_size(backbone, image_size)
    files = _files(name, weights, image_size)
    mode = BACKBONES[backbone].normalization if normalization == "backbone" else normalization
    image = keras.Input((image_size, image_size, 3), name="image")
    pixels = Normalize(mode, *(() if statistics is None else statistics), name="normalize")(image)
    features = backbones.feature_map(backbone, pixels)
    features = keras.layers.Identity(name="features")(features)
    head = build_head(head_kind, features.shape[1:], classes)
    network = keras.Model(image, head(features), name=name)

    draw_weights(head, seed)
    trunk = keras.Model(image, features, name=backbone)
    if "trunk" in files:
        load_weights(trunk, backbone, files["trunk"])
    else:
        draw_weights(trunk, seed)
    if "top" in files:
        load_vgg19_top(head, files["top"])
    return network


def build_backbone(name, image_size=224, weights="imagenet", seed=0):
    """Build a feature extractor: images in, one vector of global averages out.

    Args:
        name: A name in ``BACKBONES``.
        image_size: Side of the square input, in pixels, at least the network's smallest.
        weights: As for ``build``.
        seed: Seed of the random weights; not used otherwise.

    Returns:
        A ``keras.Model`` from float32 (n, image_size, image_size, 3), as ``prepare_input`` gives
        them, to float32 (n, features).

    Raises:
        ValueError: Unknown name, or an image size below the smallest.
        WeightsError: The weights cannot be downloaded, read, or fitted to this network.
        FileNotFoundError: The weights file does not exist.
    """
    check_image_size(name, image_size)
    path = None if weights is None else weights_file(name, weights)

    import keras

    pixels = keras.Input((image_size, image_size, 3), name="pixels")
    features = backbones.feature_map(name, pixels)
    averages = keras.layers.GlobalAveragePooling2D(name="global_average")(features)
    network = keras.Model(pixels, averages, name=name)
    if path is None:
        draw_weights(network, seed)
    else:
        load_weights(network, name, path)
    return network


def load(path):
    """Return a network that was saved as a .keras file, not compiled.

    ``keras.models.load_model`` does the same once ``leukkit.models.normalize`` is imported.
    """
    import keras

    import leukkit.models.normalize  # noqa: F401  # makes its layer known to Keras

    return keras.models.load_model(path, compile=False, safe_mode=True)


def weights_used(name, weights, image_size, seed=0):
    """Return in a few words what ``build`` starts from, for results and tables.

    Such as "ImageNet", "ImageNet, without fc1 and fc2", "drawn, seed 0", or
    "file resnet18.safetensors (sha256 5c106cde386e)".
    """
    if isinstance(weights, dict):
        parts = [
            f"{member}: {weights_used(member, weights.get(member), image_size, seed)}"
            for member in catalog.DEX
        ]
        return "; ".join(parts)
    if weights is None:
        return f"drawn, seed {seed}"
    text = "ImageNet"
    if weights != "imagenet":
        text = f"file {pathlib.Path(weights).name} (sha256 {sha256(weights)[:12]})"
    if name == "vgg19" and (weights != "imagenet" or image_size != VGG19_IMAGE_SIZE):
        text += ", without fc1 and fc2"
    return text


def _check(name, classes, normalization, statistics):
    """Raise ValueError on arguments of ``build`` that cannot be meant."""
    catalog.backbones_of(name)
    if classes < 2:
        raise ValueError(f"classes is {classes}; {name} needs at least 2 to tell apart")
    if normalization not in NORMALIZATIONS:
        raise ValueError(f"unknown normalization {normalization!r}; choose from {NORMALIZATIONS}")
    if (statistics is not None) != (normalization == "z-score"):
        raise ValueError(
            f"statistics {statistics} with normalization {normalization!r}; give the mean and the "
            "standard deviation of the training images with 'z-score', and with it alone"
        )


def _files(name, weights, image_size):
    """Return the weights files by the part they are for: "trunk", "top"; empty if all is drawn."""
    if weights is None:
        return {}
    if isinstance(weights, dict):
        raise WeightsError(f"weights of {name}: a dict is for dex alone; give the path of one file")
    if name == "vgg19" and weights == "imagenet" and image_size == VGG19_IMAGE_SIZE:
        return {"trunk": weights_file(name, weights), "top": vgg19_top_file()}
    return {"trunk": weights_file(catalog.parts(name)[0], weights)}


def _build_dex(classes, image_size, weights, settings):
    """Build sultana's ensemble: the mean of the soft-max outputs of its members."""
    import keras

    if not (weights in (None, "imagenet") or isinstance(weights, dict)):
        raise WeightsError(
            f"weights of dex: {weights!r} is one file for three networks; give a dict with the "
            f'weights of {", ".join(catalog.DEX)}, "imagenet", or None'
        )
    if isinstance(weights, dict) and set(weights) != set(catalog.DEX):
        raise WeightsError(
            f"weights of dex: {sorted(weights)}; expected one of each of {catalog.DEX}"
        )
    for member in catalog.DEX:
        check_image_size(member, image_size)
    image = keras.Input((image_size, image_size, 3), name="image")
    outputs = []
    for member in catalog.DEX:
        its_weights = weights[member] if isinstance(weights, dict) else weights
        outputs.append(build(member, classes, image_size, its_weights, **settings)(image))
    mean = keras.layers.Average(dtype="float32", name="mean")(outputs)
    return keras.Model(image, mean, name="dex")
