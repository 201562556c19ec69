"""Weights of the networks: random ones from a seed, ImageNet's, the kit's own, or a file's."""

import contextlib
import hashlib
import os
import pathlib
import re
import warnings
import zipfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from leukkit.files import read_text, replace_when_done
from leukkit.models import heads
from leukkit.models.backbones import BACKBONES, KERAS_WEIGHTS, WeightsError, find_backbone

if TYPE_CHECKING:
    import keras

Weights = str | os.PathLike | None

RANDOM_WEIGHTS_RULE = "he-normal-1"  # part of every cache key: change it with the rule
UNDECIDED = 0.01  # times He's deviation for "predictions": all classes start about equally likely
EFFICIENTNET_DEVIATION = (0.229, 0.224, 0.225)
SYNTHETIC = pathlib.Path(__file__).parent / "synthetic"  # the kit's own weights, a file a network
WORDS = ("imagenet", "synthetic")  # weights that are known by a word
VGG19_IMAGE_SIZE = 224  # the one whose feature map fits fc1's ImageNet weights
VGG19_DENSE_URL = f"{KERAS_WEIGHTS}/vgg19/vgg19_weights_tf_dim_ordering_tf_kernels.h5"
VGG19_DENSE_MD5 = "cbe5617147190e668d6c5d5026f83318"

# Arrays that belong to what is put on top of a feature map, under the names in use.
TORCH_TOPS = ("fc.", "classifier.", "last_linear.", "head.", "aux1.", "aux2.")
TORCH_COUNTER = "num_batches_tracked"  # of batch normalization; Keras keeps none
TORCH_NAMES = {  # of arrays; PyTorch calls all others "weight"
    "bias": "bias",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
TORCH_KINDS = ("F16", "F32", "F64")
SHOWN = 3  # problems that a message names
MOST_PARAMETERS = 300_000_000  # of a network; VGG-19 with its dense layers has 144 million


def weights_id(
    backbone: str, weights: Weights = "imagenet", seed: int = 0, width: float = 1.0
) -> str:
    """Return a string that is equal for equal weights: the SHA-256 of the file, or rule and seed.

    A width below 1 is part of it: the same rule and seed give a narrow network other weights.
    Needs no network, and TensorFlow only if ImageNet weights have yet to be downloaded.

    Raises:
        ValueError, WeightsError: As ``leukkit.models.build_backbone``.
    """
    path = weights_file(backbone, weights, width)
    if path is not None:
        return sha256(path)
    return f"{RANDOM_WEIGHTS_RULE}:{seed}" + f":width {width!r}" * (width != 1)


def weights_used(
    network: str,
    weights: Weights | dict[str, Weights],
    image_size: int,
    seed: int = 0,
    head: str | heads.Head | None = None,
) -> str:
    """Return in a few words what ``build`` starts from, for results and tables.

    Such as "ImageNet", "ImageNet, without fc1 and fc2", "random, seed 0", "the kit's own, trained
    on synthetic cells", or "file resnet18.safetensors (sha256 5c106cde386e)".
    """
    if isinstance(weights, dict):
        return "; ".join(
            f"{member}: {weights_used(member, its_weights, image_size, seed, head)}"
            for member, its_weights in weights.items()
        )
    if weights is None:
        return f"random, seed {seed}"
    if weights == "synthetic":
        return "the kit's own, trained on synthetic cells"
    text = "ImageNet"
    if weights != "imagenet":
        text = f"file {pathlib.Path(weights).name} (sha256 {sha256(weights)[:12]})"
    dense = heads.find_head(head) is heads.vgg_dense
    if dense and not has_dense_weights(network, weights, image_size, head):
        text += ", without fc1 and fc2"
    return text


def has_dense_weights(
    network: str,
    weights: Weights | dict[str, Weights],
    image_size: int,
    head: str | heads.Head | None,
) -> bool:
    """Return whether the head begins with ImageNet's weights of VGG-19's two dense layers, too."""
    is_whole = network == "vgg19" and heads.find_head(head) is heads.vgg_dense
    return is_whole and weights == "imagenet" and image_size == VGG19_IMAGE_SIZE


def sha256(path: str | os.PathLike) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with pathlib.Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def weights_file(
    name: str, weights: Weights | dict[str, Weights], width: float = 1.0
) -> pathlib.Path | None:
    """Return the path of a weights file, None for random weights.

    ``"imagenet"`` is downloaded if it is not there yet.

    Raises:
        WeightsError: ``weights`` is neither one of the `WORDS` nor an existing file, the download
            failed, there is nothing to download, more than one is given, or they are of another
            width.
    """
    backbone = find_backbone(name)
    if weights is None:
        return None
    if isinstance(weights, dict):
        raise WeightsError(f"weights of {name}: a dict is for dex alone; give the path of one file")
    if weights == "synthetic":
        return _synthetic_file(name, width)
    if width != 1:
        raise WeightsError(
            f"weights of {name}: {weights} holds all channels (width 1), and width is {width:g}. "
            'Use width=1, or random weights (weights=None) or the kit\'s own (weights="synthetic")'
        )
    if weights == "imagenet":
        return _keras_file(name, backbone.url, backbone.hash, backbone.file_name)
    path = pathlib.Path(weights)
    if not path.is_file():
        kinds = ".h5 or .keras" if backbone.builder else ".safetensors, .h5 or .keras"
        raise WeightsError(  # no OSError: nothing of a run could not be written
            f"no weights file {path} for {name}; give the path of a {kinds} file without "
            'the top, "imagenet", "synthetic", or None for random weights'
        )
    return path


def _synthetic_file(name, width):
    """Return the path of the kit's own weights of a network; they have one width."""
    from safetensors import safe_open

    path = SYNTHETIC / f"{name}.safetensors"
    if not path.is_file():
        there = ", ".join(sorted(file.stem for file in SYNTHETIC.glob("*.safetensors"))) or "none"
        raise WeightsError(
            f'{name} has no synthetic weights; those of other networks: {there}. Use "imagenet" at '
            "width 1, or random weights (weights=None)"
        )
    with safe_open(path, framework="numpy") as file:
        found = float(file.metadata()["width"])
    if found != width:
        raise WeightsError(
            f"the synthetic weights of {name} are for width {found:g}, and width is {width:g}; use "
            f"width={found:g}, or random weights (weights=None)"
        )
    return path


def _keras_file(name, url, known, file_name):
    """Return Keras' own copy of the ImageNet weights, downloading it if missing or broken.

    Most publishers state an MD5 or nothing. The SHA-256 of the first download is kept beside the
    file, and a file that is another one later is refused.
    """
    home = pathlib.Path(os.environ.get("KERAS_HOME") or pathlib.Path.home() / ".keras")
    path = home / "models" / file_name
    if path.is_file():
        with path.open("rb") as file:
            kind = "sha256" if known and len(known) == 64 else "md5"
            if known in (None, hashlib.file_digest(file, kind).hexdigest()):
                return _as_first_seen(path)
    if not url:
        raise WeightsError(
            f"no ImageNet weights of {name} are published as safetensors with a revision and a "
            f"hash. Put a .safetensors file with torch's names at {path}, give the path of one "
            "(weights=…/file), or use random weights (weights=None)"
        )
    import keras

    try:
        path = keras.utils.get_file(file_name, url, cache_subdir="models", file_hash=known)
    except Exception as error:  # Keras raises a bare Exception here
        if "URL fetch failure" not in str(error):
            raise
        raise WeightsError(
            f"the ImageNet weights of {name} cannot be downloaded ({error}). Without a network: "
            f"put the file at {home / 'models' / file_name}, give the path of a weights file "
            "(weights=…/file), or use random weights (weights=None)"
        ) from error
    return _as_first_seen(pathlib.Path(path))


def _as_first_seen(path: pathlib.Path) -> pathlib.Path:
    """Return ``path`` if it is the file that it was at first; what that was is kept beside it."""
    beside, found = path.with_name(f"{path.name}.sha256"), sha256(path)
    if not beside.is_file() and os.access(path.parent, os.W_OK):
        with replace_when_done(beside) as new:
            new.write_text(f"{found}  {path.name}\n", encoding="utf-8")
    elif beside.is_file() and found not in read_text(beside).split():
        raise WeightsError(
            f"{path} is not the file that was downloaded first: its sha256 is {found}, and "
            f"{beside.name} says {read_text(beside).split()[:1]}. Delete both to download it again"
        )
    return path


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


def set_weights(network: "keras.Model", path: pathlib.Path | None, seed: int) -> None:
    """Load a backbone's weights from a file, or give it random ones; ``network`` has its name.

    Raises:
        WeightsError: The file is damaged, lacks weights or holds those of another network.
    """
    if path is None:
        set_random_weights(network, seed)
        return
    name = network.name
    if path.parent == SYNTHETIC:
        _load_synthetic(network, path)
        return
    if path.suffix == ".safetensors" and not BACKBONES[name].builder:
        from leukkit.models.torch_networks import torch_names

        load_torch_weights(network, path, torch_names(name))
        return
    floats = [variable for variable in network.weights if "float" in str(variable.dtype)]
    for variable in floats:
        variable.assign(np.full(variable.shape, np.nan))  # Keras skips what a file lacks
    problem = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # one for each skipped layer
            check_declared(path)
            network.load_weights(path)
    except Exception as error:  # a damaged file may raise anything
        problem = (str(error).strip() or type(error).__name__).splitlines()[0]
    lacking = sum(not np.isfinite(values).all() for values in network.get_weights())
    if problem is None and lacking:
        problem = (
            f"{lacking} of its {len(network.weights)} arrays are missing or hold NaN or infinity"
        )
    if problem:
        raise WeightsError(
            f"{path} does not hold the weights of {name} without its top ({problem}). "
            f"Give a file made for {name} with include_top=False, or weights=None for random ones"
        )
    _correct_efficientnet(network)


def check_declared(path: str | os.PathLike) -> None:
    """Refuse a .keras or .h5 file whose arrays are larger than any network of the kit.

    HDF5 keeps of an array what was written: a small file may declare, and Keras would allocate,
    more than there is memory. ValueError says how much.
    """
    import h5py

    sizes = []
    with contextlib.ExitStack() as opened:
        file: Any = path
        if zipfile.is_zipfile(path):
            archive = opened.enter_context(zipfile.ZipFile(path))
            file = opened.enter_context(archive.open("model.weights.h5"))
        stored = opened.enter_context(h5py.File(file))
        stored.visititems(lambda _, item: sizes.append(getattr(item, "nbytes", 0)))
    if sum(sizes) > 4 * MOST_PARAMETERS:
        raise ValueError(f"its arrays would take {sum(sizes) / 2**30:.0f} GiB of memory")


def synthetic_variables(network: "keras.Model") -> dict[str, "keras.Variable"]:
    """Return what a file of the kit's own weights holds of a network, under the names used there.

    All but EfficientNet's own normalization of pixels, which stays as it is built: as in training.
    """
    return {
        f"{name}/{variable.name}": variable
        for layer, name in _stable_names(network.layers)
        if type(layer).__name__ != "Normalization"
        for variable in layer.weights
    }


def _load_synthetic(network, path):
    from safetensors.numpy import load_file

    arrays, wanted = load_file(path), synthetic_variables(network)
    found = {name: array.shape for name, array in arrays.items()}
    expected = {name: tuple(variable.shape) for name, variable in wanted.items()}
    if differing := sorted(dict(found.items() ^ expected.items())):
        first = differing[0]
        raise WeightsError(
            f"{path} does not hold the weights of {network.name}: {first} has the shape "
            f"{found.get(first)}, expected {expected.get(first)}. Make it again "
            "(tools/synthetic_weights.py), or install leukkit again"
        )
    for name, variable in wanted.items():
        if not np.isfinite(arrays[name]).all():
            raise WeightsError(f"{path}: {name} holds NaN or infinity; install leukkit again")
        variable.assign(arrays[name].astype(np.float32))


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
    """Return Keras' file of the whole VGG-19, downloading it if needed; raises WeightsError."""
    file_name = VGG19_DENSE_URL.rsplit("/", 1)[1]
    return _keras_file("vgg19", VGG19_DENSE_URL, VGG19_DENSE_MD5, file_name)


def load_vgg19_dense(head: "keras.Model") -> None:
    """Load fc1 and fc2 of the head ``vgg_dense`` from Keras' file of the whole VGG-19."""
    import h5py

    with h5py.File(vgg19_dense_file()) as file:
        for name in ("fc1", "fc2"):
            group = file[name]
            arrays = [np.asarray(group[key]) for key in group.attrs["weight_names"]]
            head.get_layer(name).set_weights(arrays)


def load_torch_weights(
    network: "keras.Model", path: str | os.PathLike, modules: Mapping[str, str]
) -> None:
    """Load weights that PyTorch trained (a .safetensors file) into the layers of ``network``.

    Arrays are read one at a time, so that a large file is never in memory as a whole.
    Names, shapes and kinds are looked at before anything is changed. What stands on top of a
    feature map is left out; any other array that has no place in the network is an error, since
    the file then holds another one (ResNet-34 has all that ResNet-18 has, and more).

    Args:
        network: The network, without a head.
        path: A .safetensors file.
        modules: Name of the PyTorch module of every layer that has another name there.

    Raises:
        FileNotFoundError: There is no such file.
        WeightsError: It is no safetensors file, or its arrays lack, are of another shape or kind,
            hold NaN or infinity, or are too many; the message names the first.
    """
    from safetensors import SafetensorError, safe_open

    wanted = {}
    for layer in network.layers:
        module = modules.get(layer.name, layer.name)
        for variable in layer.weights:
            wanted[f"{module}.{TORCH_NAMES.get(variable.name, 'weight')}"] = (layer, variable)
    try:
        file = safe_open(path, framework="numpy")
    except SafetensorError as error:
        raise _unfit(network, path, [f"not a complete safetensors file: {error}"]) from error
    with file:
        problems = _problems(file, wanted)
        if problems:
            raise _unfit(network, path, problems)
        for name, (layer, variable) in wanted.items():
            array = file.get_tensor(name)
            if not np.isfinite(array).all():
                raise _unfit(network, path, [f"{name} holds NaN or infinity"])
            variable.assign(_to_keras(array, layer).astype(np.float32))


def _to_keras(array, layer):
    """Return ``array``, laid out as PyTorch does, as ``layer`` lays it out.

    A convolution's (filters, channels of its group, height, width) becomes (height, width,
    channels of the group, filters), a depthwise one's (height, width, channels, filters of each
    channel); a dense layer's is transposed.
    """
    if array.ndim < 4:
        return array.T
    if "Depthwise" not in type(layer).__name__:
        return array.transpose(2, 3, 1, 0)
    filters, _, height, width = array.shape
    multiplier = layer.depth_multiplier
    each = array.reshape(filters // multiplier, multiplier, height, width)
    return each.transpose(2, 3, 0, 1)


def _torch_shape(variable, layer):
    """Return the shape, as a list, in which PyTorch keeps ``variable`` of ``layer``."""
    if len(variable.shape) < 4:
        return list(variable.shape)[::-1]
    height, width, channels, filters = variable.shape
    if "Depthwise" in type(layer).__name__:
        return [channels * filters, 1, height, width]
    return [filters, channels, height, width]


def _problems(file, wanted):
    """Return what keeps the arrays of ``file`` from being ``wanted``, one text each."""
    present = set(file.keys())
    problems = []
    for name, (layer, variable) in wanted.items():
        if name not in present:
            problems.append(f"{name} is missing")
            continue
        found = file.get_slice(name)
        expected = _torch_shape(variable, layer)
        if found.get_shape() != expected:
            problems.append(f"{name} has the shape {found.get_shape()}, expected {expected}")
        elif found.get_dtype() not in TORCH_KINDS:
            kinds = ", ".join(TORCH_KINDS)
            problems.append(f"{name} is of kind {found.get_dtype()}, expected one of {kinds}")
    for name in sorted(present - set(wanted)):
        if not name.startswith(TORCH_TOPS) and not name.endswith(TORCH_COUNTER):
            problems.append(f"{name} has no place in this network")
    return problems


def _unfit(network, path, problems):
    """Return the error that ``path`` is not for ``network``."""
    shown = "; ".join(problems[:SHOWN])
    if len(problems) > SHOWN:
        shown += f"; and {len(problems) - SHOWN} more"
    return WeightsError(
        f"{path} does not hold PyTorch's weights of {network.name} ({shown}). Give a .safetensors "
        "file of this very network, or weights=None for random ones"
    )
