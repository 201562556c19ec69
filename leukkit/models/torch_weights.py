"""Load weights that PyTorch trained (a .safetensors file) into the same network built with Keras.

Arrays are read one at a time, so that a large file is never in memory as a whole.
"""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from leukkit.models.backbones import WeightsError

if TYPE_CHECKING:
    import keras

# Arrays that belong to what is put on top of a feature map, under the names in use.
TOPS = ("fc.", "classifier.", "last_linear.", "head.", "aux1.", "aux2.")
COUNTER = "num_batches_tracked"  # of batch normalization; Keras keeps none
NAMES = {  # of arrays; PyTorch calls all others "weight"
    "bias": "bias",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
KINDS = ("F16", "F32", "F64")
SHOWN = 3  # problems that a message names


def load_torch_weights(
    network: "keras.Model", path: str | os.PathLike, modules: Mapping[str, str]
) -> None:
    """Load the arrays of ``path`` into the layers of ``network``.

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
            wanted[f"{module}.{NAMES.get(variable.name, 'weight')}"] = (layer, variable)
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
        elif found.get_dtype() not in KINDS:
            kinds = ", ".join(KINDS)
            problems.append(f"{name} is of kind {found.get_dtype()}, expected one of {kinds}")
    for name in sorted(present - set(wanted)):
        if not name.startswith(TOPS) and not name.endswith(COUNTER):
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
