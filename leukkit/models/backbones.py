"""The convolutional networks that turn an image into a feature vector (farag2025, Table IV).

Each is a network of ``keras.applications`` without its classification layers, closed by global
average pooling. Weights are ImageNet's, those of a file, or random ones drawn from a seed.
"""

import dataclasses
import hashlib
import os
import pathlib
import warnings
import zipfile

import numpy as np

KERAS_WEIGHTS = "https://storage.googleapis.com/tensorflow/keras-applications"
RANDOM_WEIGHTS_RULE = "he-normal-1"  # part of every cache key: change it with the rule
SMALLEST_IMAGE = 32  # pixels; below it the last convolutions have nothing left to see


@dataclasses.dataclass(frozen=True)
class Backbone:
    """What tells one feature extractor from another.

    Attributes:
        builder: Name of the function in ``keras.applications``.
        module: Name of the module in ``keras.applications`` with its ``preprocess_input``.
        features: Number of features after global average pooling.
        url: Address of the ImageNet weights without the top.
        md5: Their MD5 as ``keras.applications`` gives it; None where it gives none.
        arguments: Further keywords of the builder.
    """

    builder: str
    module: str
    features: int
    url: str
    md5: str | None = None
    arguments: dict = dataclasses.field(default_factory=dict)


BACKBONES = {
    "vgg19": Backbone(
        "VGG19",
        "vgg19",
        512,
        f"{KERAS_WEIGHTS}/vgg19/vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "253f8cb515780f3b799900260a226db6",
    ),
    "resnet50": Backbone(
        "ResNet50",
        "resnet",
        2048,
        f"{KERAS_WEIGHTS}/resnet/resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "4d473c1dd8becc155b73f8504c6f6626",
    ),
    "mobilenetv2": Backbone(
        "MobileNetV2",
        "mobilenet_v2",
        1280,
        f"{KERAS_WEIGHTS}/mobilenet_v2/"
        "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5",
    ),
    "densenet121": Backbone(
        "DenseNet121",
        "densenet",
        1024,
        f"{KERAS_WEIGHTS}/densenet/densenet121_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "30ee3e1110167f948a6b9946edeeb738",
    ),
    "densenet169": Backbone(
        "DenseNet169",
        "densenet",
        1664,
        f"{KERAS_WEIGHTS}/densenet/densenet169_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "b8c4d4c20dd625c148057b9ff1c1176b",
    ),
    "densenet201": Backbone(
        "DenseNet201",
        "densenet",
        1920,
        f"{KERAS_WEIGHTS}/densenet/densenet201_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "c13680b51ded0fb44dff2d8f86ac8bb1",
    ),
    "mobilenet-0.25": Backbone(
        "MobileNet",
        "mobilenet",
        256,
        f"{KERAS_WEIGHTS}/mobilenet/mobilenet_2_5_224_tf_no_top.h5",
        arguments={"alpha": 0.25},
    ),
}


class WeightsError(ValueError):
    """The weights of a network cannot be had, or belong to another network."""


def find_backbone(name):
    """Return the ``Backbone`` called ``name``.

    Raises:
        ValueError: There is none of this name; the message lists those there are.
    """
    if name not in BACKBONES:
        raise ValueError(f"unknown backbone {name!r}; choose one of: {', '.join(BACKBONES)}")
    return BACKBONES[name]


def build_backbone(name, image_size=224, weights="imagenet", seed=0):
    """Build a feature extractor: images in, one vector of global averages out.

    Args:
        name: A name in ``BACKBONES``.
        image_size: Side of the square input, in pixels, at least 32.
        weights: ``"imagenet"`` (downloaded by Keras at first use, into ``KERAS_HOME``), the path
            of a weights file without the top (.h5, .keras), or None for random weights.
        seed: Seed of the random weights; not used otherwise.

    Returns:
        A ``keras.Model`` from float32 (n, image_size, image_size, 3), as ``prepare_input`` gives
        them, to float32 (n, features).

    Raises:
        ValueError: Unknown name, or an image size below 32.
        WeightsError: The weights cannot be downloaded, read, or fitted to this network.
        FileNotFoundError: The weights file does not exist.
    """
    import keras

    backbone = find_backbone(name)
    if image_size < SMALLEST_IMAGE:
        raise ValueError(f"image_size is {image_size}; {name} needs at least {SMALLEST_IMAGE}")
    path = None if weights is None else weights_file(name, weights)
    network = getattr(keras.applications, backbone.builder)(
        include_top=False,
        weights=None,
        pooling="avg",
        input_shape=(image_size, image_size, 3),
        **backbone.arguments,
    )
    if path is None:
        draw_weights(network, seed)
    else:
        _load_weights(network, name, path)
    return network


def prepare_input(name, images):
    """Return uint8 RGB images as the network called ``name`` was trained to see them.

    Args:
        name: A name in ``BACKBONES``.
        images: uint8 (n, height, width, 3), values 0 to 255.

    Returns:
        float32 of the same shape, in the range that this network's ``preprocess_input`` gives.
    """
    import keras

    module = getattr(keras.applications, find_backbone(name).module)
    return module.preprocess_input(images.astype(np.float32), data_format="channels_last")


def weights_id(name, weights="imagenet", seed=0):
    """Return a string that is equal for equal weights: the SHA-256 of the file, or rule and seed.

    Needs no network, and TensorFlow only if ImageNet weights have yet to be downloaded.

    Raises:
        ValueError, WeightsError, FileNotFoundError: As ``build_backbone``.
    """
    find_backbone(name)
    if weights is None:
        return f"{RANDOM_WEIGHTS_RULE}:{seed}"
    with weights_file(name, weights).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def weights_file(name, weights):
    """Return the path of a weights file; ``"imagenet"`` is downloaded if it is not there yet.

    Raises:
        FileNotFoundError: ``weights`` is neither ``"imagenet"`` nor an existing file.
        WeightsError: The download failed.
    """
    if weights == "imagenet":
        return _imagenet_file(name)
    path = pathlib.Path(weights)
    if not path.is_file():
        raise FileNotFoundError(
            f"no weights file {path} for {name}; give the path of a .h5 or .keras file without "
            'the top, "imagenet", or None for random weights'
        )
    return path


def draw_weights(network, seed):
    """Give every kernel of ``network`` He-normal values; leave biases and BatchNorm as built.

    Standard deviation sqrt(2 / inputs of one output), He et al. 2015, Eq. 10. Each layer has its
    own generator, seeded by its name, so that neither Keras' seed nor the order of layers matters.
    """
    for layer in network.layers:
        entropy = int.from_bytes(hashlib.sha256(layer.name.encode()).digest()[:8], "little")
        generator = np.random.default_rng([seed, entropy])
        for variable in layer.weights:
            if "kernel" not in variable.name:
                continue
            *height_width, channels, _ = variable.shape
            depthwise = "Depthwise" in type(layer).__name__  # each output sees one channel
            inputs = np.prod(height_width) * (1 if depthwise else channels)
            values = generator.standard_normal(variable.shape, dtype=np.float32)
            variable.assign(values * np.float32(np.sqrt(2 / inputs)))


def _imagenet_file(name):
    """Return Keras' own copy of the ImageNet weights, downloading it if missing or broken."""
    backbone = BACKBONES[name]
    file_name = backbone.url.rsplit("/", 1)[1]
    home = pathlib.Path(os.environ.get("KERAS_HOME") or pathlib.Path.home() / ".keras")
    path = home / "models" / file_name
    if path.is_file() and backbone.md5 in (None, hashlib.md5(path.read_bytes()).hexdigest()):
        return path
    import keras

    try:
        path = keras.utils.get_file(
            file_name, backbone.url, cache_subdir="models", file_hash=backbone.md5
        )
    except Exception as error:  # Keras raises a bare Exception here
        if "URL fetch failure" not in str(error):
            raise
        raise WeightsError(
            f"the ImageNet weights of {name} cannot be downloaded ({error}). Without a network: "
            f"put the file at {home / 'models' / file_name}, give the path of a weights file "
            "(weights=…/file.h5), or use random weights (weights=None)"
        ) from error
    return pathlib.Path(path)


def _load_weights(network, name, path):
    """Load ``path`` into ``network``; say so if it is another network's file or not complete."""
    for variable in network.weights:
        variable.assign(np.full(variable.shape, np.nan))  # Keras skips what a file lacks
    problem = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # one for each skipped layer
            network.load_weights(path)
    except (ValueError, OSError, KeyError, zipfile.BadZipFile) as error:
        problem = str(error).strip().splitlines()[0]
    lacking = sum(np.isnan(values).any() for values in network.get_weights())
    if problem is None and lacking:
        problem = f"{lacking} of its {len(network.weights)} arrays are missing or hold NaN"
    if problem:
        raise WeightsError(
            f"{path} does not hold the weights of {name} without its top ({problem}). "
            f"Give a file made for {name} with include_top=False, or weights=None for random ones"
        )
