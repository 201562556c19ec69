"""The convolutional networks below the heads: where each comes from and what it wants to see.

Most are networks of ``keras.applications``; those without a builder there are in
``leukkit.models.torch_networks``.
"""

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras

KERAS_WEIGHTS = "https://storage.googleapis.com/tensorflow/keras-applications"
EFFICIENTNET_WEIGHTS = "https://storage.googleapis.com/keras-applications"


class WeightsError(ValueError):
    """The weights of a network cannot be had, or belong to another network."""


@dataclasses.dataclass(frozen=True)
class Backbone:
    """What tells one convolutional network from another.

    Attributes:
        features: Number of channels of its last feature map.
        normalization: How pixels were treated when the ImageNet weights were trained: a mode of
            ``leukkit.models.normalize``. EfficientNet rescales inside: "none".
        builder: Name of the function in ``keras.applications``; "" for a network of our own.
        url: Address of the ImageNet weights without the top; "" where none are published.
        hash: Their MD5 as ``keras.applications`` gives it, or SHA-256; None where nobody states
            one (MobileNet, MobileNetV2): any file is taken, and the SHA-256 stands in the record.
        saved_as: Name of the downloaded file, where the address ends in a name that says nothing.
        arguments: Further keywords of the builder.
        smallest_image: Side in pixels below which nothing is left for the last convolutions.
    """

    features: int
    normalization: str
    builder: str = ""
    url: str = ""
    hash: str | None = None
    saved_as: str = ""
    arguments: dict[str, Any] = dataclasses.field(default_factory=dict)
    smallest_image: int = 32

    @property
    def file_name(self) -> str:
        """Name of the file with the ImageNet weights."""
        return self.saved_as or self.url.rsplit("/", 1)[-1]


def _keras(builder, features, normalization, folder, md5, **others):
    path = f"{folder}/{builder.lower()}_weights_tf_dim_ordering_tf_kernels_notop.h5"
    return Backbone(features, normalization, builder, f"{KERAS_WEIGHTS}/{path}", md5, **others)


BACKBONES = {
    "vgg19": _keras("VGG19", 512, "caffe", "vgg19", "253f8cb515780f3b799900260a226db6"),
    "resnet50": _keras("ResNet50", 2048, "caffe", "resnet", "4d473c1dd8becc155b73f8504c6f6626"),
    "mobilenetv2": Backbone(
        1280,
        "tf",
        "MobileNetV2",
        f"{KERAS_WEIGHTS}/mobilenet_v2/"
        "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5",
    ),
    "densenet121": _keras(
        "DenseNet121", 1024, "torch", "densenet", "30ee3e1110167f948a6b9946edeeb738"
    ),
    "densenet169": _keras(
        "DenseNet169", 1664, "torch", "densenet", "b8c4d4c20dd625c148057b9ff1c1176b"
    ),
    "densenet201": _keras(
        "DenseNet201", 1920, "torch", "densenet", "c13680b51ded0fb44dff2d8f86ac8bb1"
    ),
    "mobilenet-0.25": Backbone(
        256,
        "tf",
        "MobileNet",
        f"{KERAS_WEIGHTS}/mobilenet/mobilenet_2_5_224_tf_no_top.h5",
        "dbdb03ee2a22fd895301636cd328b234bb3a9952358f436d82f46b81e0d5b0bf",
        arguments={"alpha": 0.25},
    ),
    "vgg16": _keras("VGG16", 512, "caffe", "vgg16", "6d6bbae143d832006294945121d1f1fc"),
    "inceptionv3": Backbone(
        2048,
        "tf",
        "InceptionV3",
        f"{KERAS_WEIGHTS}/inception_v3/inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "bcbd6486424b2319ff4ef7d526e38f63",
        smallest_image=75,
    ),
    "xception": _keras(
        "Xception", 2048, "tf", "xception", "b0042744bf5b25fce3cb969f33bebb97", smallest_image=71
    ),
    "efficientnetb0": Backbone(
        1280,
        "none",
        "EfficientNetB0",
        f"{EFFICIENTNET_WEIGHTS}/efficientnetb0_notop.h5",
        "50bc09e76180e00e4465e1a485ddc09d",
    ),
    "efficientnetb7": Backbone(
        2560,
        "none",
        "EfficientNetB7",
        f"{EFFICIENTNET_WEIGHTS}/efficientnetb7_notop.h5",
        "cbcfe4450ddf6f3ad90b1b398090fe4a",
    ),
    "resnet18": Backbone(
        512,
        "torch",
        url="https://huggingface.co/timm/resnet18.tv_in1k/resolve/"
        "bbd144b3e5565108aad885f145491d11bc6ce807/model.safetensors",
        hash="694f673df6520a3158624e8a89af086f59923ee4cd7436fe5bc3bc71d295ad81",
        saved_as="resnet18.tv_in1k.safetensors",
    ),
    # Of timm's legacy_seresnet152.in1k nobody states a revision and a hash; the other two nobody
    # publishes as safetensors under the names used here. torchvision's weights of GoogLeNet come
    # from TensorFlow: RGB in -1..1.
    "seresnet152": Backbone(2048, "torch", saved_as="seresnet152.safetensors"),
    "googlenet": Backbone(1024, "tf", saved_as="googlenet.safetensors"),
    "shufflenet": Backbone(960, "torch", saved_as="shufflenet.safetensors"),
}
SIDE_BY_SIDE = {  # last feature maps that are several put together: the channels of each
    "densenet121": (512, *[32] * 16),
    "densenet169": (640, *[32] * 32),
    "densenet201": (896, *[32] * 32),
    "inceptionv3": (320, *[384] * 4, 192),
    "googlenet": (384, 384, 128, 128),
}


def find_backbone(name: str) -> Backbone:
    """Return the ``Backbone`` called ``name``.

    Raises:
        ValueError: There is none of this name; the message lists those there are.
    """
    if name not in BACKBONES:
        raise ValueError(f"unknown backbone {name!r}; choose one of: {', '.join(BACKBONES)}")
    return BACKBONES[name]


def feature_count(name: str, width: float = 1.0) -> int:
    """Return the channels of the last feature map at a width, without building the network."""
    parts = SIDE_BY_SIDE.get(name, (find_backbone(name).features,))
    return sum(_scaled(part, width) for part in parts)


def check_image_size(name: str, image_size: int) -> None:
    """Raise ValueError if the images are too small for the backbone called ``name``."""
    smallest = find_backbone(name).smallest_image
    if image_size < smallest:
        raise ValueError(f"image_size is {image_size}; {name} needs at least {smallest}")


def feature_map(name: str, pixels: "keras.KerasTensor") -> "keras.KerasTensor":
    """Return the last feature map (n, h, w, features) that a backbone makes of a Keras tensor.

    Its layers become part of the caller's network, which stays flat.

    Args:
        name: A name in ``BACKBONES``.
        pixels: (n, image_size, image_size, 3), already normalized.
    """
    import keras

    from leukkit.models import torch_networks

    backbone = find_backbone(name)
    if not backbone.builder:
        return torch_networks.NETWORKS[name](pixels)
    network = getattr(keras.applications, backbone.builder)(
        include_top=False,
        weights=None,
        input_tensor=pixels,
        input_shape=pixels.shape[1:],
        **backbone.arguments,
    )
    return network.output


def narrow(network: "keras.Model", width: float, channels: int | None = None) -> "keras.Model":
    """Return a new network of the same layers with a share of their channels, not initialized.

    Args:
        network: From one image or feature map (n, h, w, channels), not compiled.
        width: Share of the filters and units of each layer; "predictions" keeps its own.
        channels: Of the new network's input; None for those of the old one.

    Raises:
        ValueError: The width is no share, or layers do not fit together at this width.
    """
    import keras

    if not 0 < width <= 1:
        raise ValueError(f"width is {width}; expected a share above 0 and at most 1, such as 0.125")
    # One multiple for all layers: what enters a grouped layer comes from an ungrouped one.
    multiple = max([1, *(getattr(layer, "groups", 1) for layer in network.layers)])

    def clone(layer):
        config = layer.get_config()
        if layer.name != "predictions":
            for key in ("filters", "units"):
                if config.get(key):
                    config[key] = _scaled(config[key], width, multiple)
        if isinstance(layer, keras.layers.Reshape) and -1 not in layer.target_shape:
            config["target_shape"] = (*layer.target_shape[:-1], -1)
        return type(layer).from_config(config)

    shape = (*network.input_shape[1:-1], channels or network.input_shape[-1])
    pixels = keras.Input(shape, dtype=network.input.dtype, name=network.input.name)
    try:
        return keras.models.clone_model(network, pixels, clone)
    except (ValueError, NotImplementedError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(
            f"{network.name} cannot be built with width {width:g} ({reason}). Use a width of whole "
            "eighths; a head of your own needs layers that Keras can copy, none of them nested"
        ) from error


def _scaled(number, width, multiple=1):
    return multiple * max(1, round(number * width / multiple))


def prepare_input(name: str, images: np.ndarray) -> np.ndarray:
    """Return uint8 RGB images as the backbone called ``name`` was trained to see them.

    Args:
        name: A name in ``BACKBONES``.
        images: uint8 (n, height, width, 3), values 0 to 255.

    Returns:
        float32 of the same shape, in the range that this network's ``preprocess_input`` gives.
    """
    import keras

    pixels = images.astype(np.float32)
    mode = find_backbone(name).normalization
    if mode == "none":
        return pixels
    return keras.applications.imagenet_utils.preprocess_input(pixels, "channels_last", mode)
