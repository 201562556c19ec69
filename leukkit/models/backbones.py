"""The convolutional networks below the heads: where each comes from and what it wants to see.

Most are networks of ``keras.applications``; ResNet-18, GoogLeNet, ShuffleNet and SE-ResNet-152
are this package's own.
"""

import dataclasses
import importlib

import numpy as np

KERAS_WEIGHTS = "https://storage.googleapis.com/tensorflow/keras-applications"
EFFICIENTNET_WEIGHTS = "https://storage.googleapis.com/keras-applications"
TIMM_WEIGHTS = "https://huggingface.co/timm"


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
        module: Name of our own module, with ``feature_map`` and ``torch_names``; else "".
        url: Address of the ImageNet weights without the top; "" where none are published.
        md5: Their MD5 as ``keras.applications`` gives it; None where it gives none.
        saved_as: Name of the downloaded file, where the address ends in a name that says nothing.
        arguments: Further keywords of the builder.
        smallest_image: Side in pixels below which nothing is left for the last convolutions.
    """

    features: int
    normalization: str
    builder: str = ""
    module: str = ""
    url: str = ""
    md5: str | None = None
    saved_as: str = ""
    arguments: dict = dataclasses.field(default_factory=dict)
    smallest_image: int = 32

    @property
    def file_name(self):
        """Name of the file with the ImageNet weights."""
        return self.saved_as or self.url.rsplit("/", 1)[-1]


def _keras(builder, features, normalization, path, md5=None, site=KERAS_WEIGHTS, **others):
    return Backbone(features, normalization, builder, url=f"{site}/{path}", md5=md5, **others)


def _timm(module, features, repository):
    url = f"{TIMM_WEIGHTS}/{repository}/resolve/main/model.safetensors"
    return Backbone(features, "torch", module=module, url=url, saved_as=f"{repository}.safetensors")


_KERNELS = "weights_tf_dim_ordering_tf_kernels_notop.h5"
BACKBONES = {
    "vgg19": _keras(
        "VGG19", 512, "caffe", f"vgg19/vgg19_{_KERNELS}", "253f8cb515780f3b799900260a226db6"
    ),
    "resnet50": _keras(
        "ResNet50", 2048, "caffe", f"resnet/resnet50_{_KERNELS}", "4d473c1dd8becc155b73f8504c6f6626"
    ),
    "mobilenetv2": _keras(
        "MobileNetV2",
        1280,
        "tf",
        "mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5",
    ),
    "densenet121": _keras(
        "DenseNet121",
        1024,
        "torch",
        f"densenet/densenet121_{_KERNELS}",
        "30ee3e1110167f948a6b9946edeeb738",
    ),
    "densenet169": _keras(
        "DenseNet169",
        1664,
        "torch",
        f"densenet/densenet169_{_KERNELS}",
        "b8c4d4c20dd625c148057b9ff1c1176b",
    ),
    "densenet201": _keras(
        "DenseNet201",
        1920,
        "torch",
        f"densenet/densenet201_{_KERNELS}",
        "c13680b51ded0fb44dff2d8f86ac8bb1",
    ),
    "mobilenet-0.25": _keras(
        "MobileNet",
        256,
        "tf",
        "mobilenet/mobilenet_2_5_224_tf_no_top.h5",
        arguments={"alpha": 0.25},
    ),
    "vgg16": _keras(
        "VGG16", 512, "caffe", f"vgg16/vgg16_{_KERNELS}", "6d6bbae143d832006294945121d1f1fc"
    ),
    "inceptionv3": _keras(
        "InceptionV3",
        2048,
        "tf",
        f"inception_v3/inception_v3_{_KERNELS}",
        "bcbd6486424b2319ff4ef7d526e38f63",
        smallest_image=75,
    ),
    "xception": _keras(
        "Xception",
        2048,
        "tf",
        f"xception/xception_{_KERNELS}",
        "b0042744bf5b25fce3cb969f33bebb97",
        smallest_image=71,
    ),
    "efficientnetb0": _keras(
        "EfficientNetB0",
        1280,
        "none",
        "efficientnetb0_notop.h5",
        "50bc09e76180e00e4465e1a485ddc09d",
        EFFICIENTNET_WEIGHTS,
    ),
    "efficientnetb7": _keras(
        "EfficientNetB7",
        2560,
        "none",
        "efficientnetb7_notop.h5",
        "cbcfe4450ddf6f3ad90b1b398090fe4a",
        EFFICIENTNET_WEIGHTS,
    ),
    "resnet18": _timm("resnet", 512, "resnet18.tv_in1k"),
    "seresnet152": _timm("seresnet", 2048, "legacy_seresnet152.in1k"),
    # Nobody publishes these two as safetensors under the names used here.
    "googlenet": Backbone(1024, "tf", module="googlenet"),
    "shufflenet": Backbone(960, "torch", module="shufflenet"),
}


def find_backbone(name):
    """Return the ``Backbone`` called ``name``.

    Raises:
        ValueError: There is none of this name; the message lists those there are.
    """
    if name not in BACKBONES:
        raise ValueError(f"unknown backbone {name!r}; choose one of: {', '.join(BACKBONES)}")
    return BACKBONES[name]


def check_image_size(name, image_size):
    """Raise ValueError if the images are too small for the backbone called ``name``."""
    smallest = find_backbone(name).smallest_image
    if image_size < smallest:
        raise ValueError(f"image_size is {image_size}; {name} needs at least {smallest}")


def own_module(name):
    """Return our module that defines the backbone called ``name``."""
    return importlib.import_module(f"leukkit.models.{BACKBONES[name].module}")


def feature_map(name, pixels):
    """Return the last feature map (n, h, w, features) that a backbone makes of a Keras tensor.

    Its layers become part of the caller's network, which stays flat.

    Args:
        name: A name in ``BACKBONES``.
        pixels: Keras tensor (n, image_size, image_size, 3), already normalized.
    """
    import keras

    backbone = find_backbone(name)
    if backbone.module:
        return own_module(name).feature_map(pixels)
    network = getattr(keras.applications, backbone.builder)(
        include_top=False,
        weights=None,
        input_tensor=pixels,
        input_shape=pixels.shape[1:],
        **backbone.arguments,
    )
    return network.output


def prepare_input(name, images):
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
