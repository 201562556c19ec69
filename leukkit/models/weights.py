"""Weights of the networks: random ones from a seed, ImageNet's, or those of a file."""

import hashlib
import os
import pathlib
import re
import warnings
import zipfile
from typing import TYPE_CHECKING

import numpy as np

from leukkit.models import heads
from leukkit.models.backbones import BACKBONES, KERAS_WEIGHTS, WeightsError, find_backbone

if TYPE_CHECKING:
    import keras

Weights = str | os.PathLike | None

RANDOM_WEIGHTS_RULE = "he-normal-1"  # part of every cache key: change it with the rule
UNDECIDED = 0.01  # times He's deviation for "predictions": all classes start about equally likely
EFFICIENTNET_DEVIATION = (0.229, 0.224, 0.225)
VGG19_IMAGE_SIZE = 224  # the one whose feature map fits fc1's ImageNet weights
VGG19_DENSE_URL = f"{KERAS_WEIGHTS}/vgg19/vgg19_weights_tf_dim_ordering_tf_kernels.h5"
VGG19_DENSE_MD5 = "cbe5617147190e668d6c5d5026f83318"


def weights_id(backbone: str, weights: Weights = "imagenet", seed: int = 0) -> str:
    """Return a string that is equal for equal weights: the SHA-256 of the file, or rule and seed.

    Needs no network, and TensorFlow only if ImageNet weights have yet to be downloaded.

    Raises:
        ValueError, WeightsError, FileNotFoundError: As ``leukkit.models.build_backbone``.
    """
    find_backbone(backbone)
    if weights is None:
        return f"{RANDOM_WEIGHTS_RULE}:{seed}"
    return sha256(weights_file(backbone, weights))


def weights_used(
    network: str,
    weights: Weights | dict[str, Weights],
    image_size: int,
    seed: int = 0,
    head: str | heads.Head | None = None,
) -> str:
    """Return in a few words what ``build`` starts from, for results and tables.

    Such as "ImageNet", "ImageNet, without fc1 and fc2", "random, seed 0", or
    "file resnet18.safetensors (sha256 5c106cde386e)".
    """
    if isinstance(weights, dict):
        return "; ".join(
            f"{member}: {weights_used(member, its_weights, image_size, seed, head)}"
            for member, its_weights in weights.items()
        )
    if weights is None:
        return f"random, seed {seed}"
    text = "ImageNet"
    if weights != "imagenet":
        text = f"file {pathlib.Path(weights).name} (sha256 {sha256(weights)[:12]})"
    dense = heads.find_head(head) is heads.vgg_dense
    if dense and not has_dense_weights(network, weights, image_size, head):
        text += ", without fc1 and fc2"
    return text


def has_dense_weights(
    network: str, weights: Weights, image_size: int, head: str | heads.Head | None
) -> bool:
    """Return whether the head begins with ImageNet's weights of VGG-19's two dense layers, too."""
    is_whole = network == "vgg19" and heads.find_head(head) is heads.vgg_dense
    return is_whole and weights == "imagenet" and image_size == VGG19_IMAGE_SIZE


def sha256(path: str | os.PathLike) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    return _hash(path, "sha256")


def _hash(path, algorithm):
    with pathlib.Path(path).open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def weights_file(name: str, weights: str | os.PathLike) -> pathlib.Path:
    """Return the path of a weights file; ``"imagenet"`` is downloaded if it is not there yet.

    Raises:
        FileNotFoundError: ``weights`` is neither ``"imagenet"`` nor an existing file.
        WeightsError: The download failed, or there is nothing to download.
    """
    backbone = find_backbone(name)
    if weights == "imagenet":
        if not backbone.url:
            raise WeightsError(
                f"no ImageNet weights of {name} are published in a form that can be read here. "
                "Give the path of a .safetensors file with torch's names (weights=…/file), or use "
                "random weights (weights=None)"
            )
        return _keras_file(name, backbone.url, backbone.md5, backbone.file_name)
    path = pathlib.Path(weights)
    if not path.is_file():
        kinds = ".h5 or .keras" if backbone.builder else ".safetensors, .h5 or .keras"
        raise FileNotFoundError(
            f"no weights file {path} for {name}; give the path of a {kinds} file without "
            'the top, "imagenet", or None for random weights'
        )
    return path


def _keras_file(name, url, md5, file_name):
    """Return Keras' own copy of the ImageNet weights, downloading it if missing or broken."""
    home = pathlib.Path(os.environ.get("KERAS_HOME") or pathlib.Path.home() / ".keras")
    path = home / "models" / file_name
    if path.is_file() and md5 in (None, _hash(path, "md5")):
        return path
    import keras

    try:
        path = keras.utils.get_file(file_name, url, cache_subdir="models", file_hash=md5)
    except Exception as error:  # Keras raises a bare Exception here
        if "URL fetch failure" not in str(error):
            raise
        raise WeightsError(
            f"the ImageNet weights of {name} cannot be downloaded ({error}). Without a network: "
            f"put the file at {home / 'models' / file_name}, give the path of a weights file "
            "(weights=…/file), or use random weights (weights=None)"
        ) from error
    return pathlib.Path(path)


def set_random_weights(network: "keras.Model", seed: int) -> None:
    """Give every kernel of ``network`` He-normal values; leave biases and BatchNorm as built.

    Standard deviation sqrt(2 / inputs of one output), He et al. 2015, Eq. 10; a hundredth of it
    for the layer "predictions". Each layer has its own generator, seeded by its name, so that
    neither Keras' seed nor the order of layers matters.
    """
    for layer, name in _stable_names(network.layers):
        entropy = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
        generator = np.random.default_rng([seed, entropy])
        for variable in layer.weights:
            if "kernel" not in variable.name:
                continue
            scale = np.sqrt(2 / _inputs(layer, variable))
            values = generator.standard_normal(variable.shape, dtype=np.float32)
            values *= np.float32(scale * (UNDECIDED if name == "predictions" else 1))
            variable.assign(values)


def _stable_names(layers):
    """Yield each layer with its name, numbered within this network where Keras made the name up.

    Keras counts "conv2d", "conv2d_1", … over the whole process: a second InceptionV3 has other
    names than the first.
    """
    seen: dict[str, int] = {}
    for layer in layers:
        stem = re.sub(r"_\d+$", "", layer.name)
        if stem.replace("_", "") != type(layer).__name__.lower():
            yield layer, layer.name
            continue
        number = seen[stem] = seen.get(stem, -1) + 1
        yield layer, f"{stem}_{number}" if number else stem


def _inputs(layer, variable):
    """Return how many inputs one output of a kernel sums over."""
    part = variable.path.split("/")[-2] if "/" in variable.path else ""
    if type(layer).__name__ == "MultiHeadAttention" and part in ("query", "key", "value"):
        return variable.shape[0]  # (channels, heads, size): each head's output sees all channels
    # Each output of a depthwise kernel sees one channel.
    depthwise = "Depthwise" in type(layer).__name__ or variable.name == "depthwise_kernel"
    return np.prod(variable.shape[: -2 if depthwise else -1])


def load_weights(network: "keras.Model", name: str, path: str | os.PathLike) -> None:
    """Load ``path`` into ``network``; say so if it is another network's file or not complete.

    Raises:
        WeightsError: The file is damaged, lacks weights or holds those of another network.
    """
    if pathlib.Path(path).suffix == ".safetensors" and not BACKBONES[name].builder:
        from leukkit.models.torch_networks import torch_names
        from leukkit.models.torch_weights import load_torch_weights

        load_torch_weights(network, path, torch_names(name))
        return
    floats = [variable for variable in network.weights if "float" in str(variable.dtype)]
    for variable in floats:
        variable.assign(np.full(variable.shape, np.nan))  # Keras skips what a file lacks
    problem = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # one for each skipped layer
            network.load_weights(path)
    except (ValueError, OSError, KeyError, zipfile.BadZipFile) as error:
        problem = (str(error).strip() or type(error).__name__).splitlines()[0]
    lacking = sum(np.isnan(np.asarray(values)).any() for values in network.get_weights())
    if problem is None and lacking:
        problem = f"{lacking} of its {len(network.weights)} arrays are missing or hold NaN"
    if problem:
        raise WeightsError(
            f"{path} does not hold the weights of {name} without its top ({problem}). "
            f"Give a file made for {name} with include_top=False, or weights=None for random ones"
        )
    _correct_efficientnet(network)


def _correct_efficientnet(network):
    """Give EfficientNet's first layer the variances that its ImageNet file lacks.

    The file holds standard deviations in their place (tensorflow #49930). Keras makes up for it
    by a further layer, but only when it loads the file itself (``weights="imagenet"``).
    """
    for layer in network.layers:
        if type(layer).__name__ != "Normalization":
            continue
        mean, variance, *count = layer.get_weights()
        if np.allclose(variance, EFFICIENTNET_DEVIATION, rtol=1e-3):
            layer.set_weights([mean, np.square(variance), *count])
            layer.finalize_state()


def vgg19_dense_file() -> pathlib.Path:
    """Return the path of Keras' VGG-19 file with the dense layers; downloaded if not there."""
    return _keras_file("vgg19", VGG19_DENSE_URL, VGG19_DENSE_MD5, VGG19_DENSE_URL.rsplit("/", 1)[1])


def load_vgg19_dense(head: "keras.Model", path: str | os.PathLike) -> None:
    """Load fc1 and fc2 of the head ``vgg_dense`` from a file with the dense layers of VGG-19."""
    import h5py

    with h5py.File(path) as file:
        for name in ("fc1", "fc2"):
            group = file[name]
            arrays = [np.asarray(group[key]) for key in group.attrs["weight_names"]]
            head.get_layer(name).set_weights(arrays)
