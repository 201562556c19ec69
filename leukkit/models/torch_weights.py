"""Load weights that PyTorch trained (a .safetensors file) into the same network built with Keras.

Arrays are read one at a time, so that a large file is never in memory as a whole.
"""

import numpy as np

from leukkit.models.backbones import WeightsError

# Arrays that belong to what is put on top of a feature map, under the names in use.
TOPS = ("fc.", "classifier.", "last_linear.", "head.", "aux1.", "aux2.")
COUNTER = "num_batches_tracked"  # of batch normalization; Keras keeps none
BATCH_NORMALIZATION = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
KINDS = ("F16", "F32", "F64")
SHOWN = 3  # problems that a message names


def load_torch_weights(network, path, names):
    """Load the arrays of ``path`` into the layers of ``network`` that ``names`` lists.

    Names, shapes and kinds are looked at before anything is changed. What stands on top of a
    feature map is left out; any other array that has no place in the network is an error, since
    the file then holds another one (ResNet-34 has all that ResNet-18 has, and more).

    Args:
        network: ``keras.Model`` with the layers.
        path: A .safetensors file.
        names: Name of the PyTorch module of every layer with weights: {layer: module}.

    Raises:
        FileNotFoundError: There is no such file.
        WeightsError: It is no safetensors file, or its arrays lack, are of another shape or kind,
            hold NaN or infinity, or are too many; the message names the first.
    """
    from safetensors import SafetensorError, safe_open

    try:
        file = safe_open(path, framework="numpy")
    except SafetensorError as error:
        raise _unfit(network, path, [f"not a complete safetensors file: {error}"]) from error
    with file:
        wanted = {
            f"{module}.{_torch_name(variable)}": (layer, variable)
            for layer, module in _layers(network, names)
            for variable in layer.weights
        }
        problems = _problems(file, wanted)
        if problems:
            raise _unfit(network, path, problems)
        for name, (layer, variable) in wanted.items():
            array = file.get_tensor(name)
            if not np.isfinite(array).all():
                raise _unfit(network, path, [f"{name} holds NaN or infinity"])
            variable.assign(to_keras(array, layer).astype(np.float32))


def to_keras(array, layer):
    """Return ``array``, laid out as PyTorch does, as ``layer`` lays it out.

    Args:
        array: A convolution's (filters, channels of its group, height, width), a dense layer's
            (outputs, inputs), or a vector.
        layer: The Keras layer.

    Returns:
        (height, width, channels of the group, filters); for a depthwise convolution (height,
        width, channels, filters of each channel); (inputs, outputs); or the vector.
    """
    if array.ndim == 2:
        return array.T
    if array.ndim < 4:
        return array
    if "Depthwise" not in type(layer).__name__:
        return array.transpose(2, 3, 1, 0)
    filters, _, height, width = array.shape
    multiplier = layer.depth_multiplier
    each = array.reshape(filters // multiplier, multiplier, height, width)
    return each.transpose(2, 3, 0, 1)


def torch_shape(variable, layer):
    """Return the shape, as a list, in which PyTorch keeps ``variable`` of ``layer``."""
    shape = list(variable.shape)
    if len(shape) < 4:
        return shape[::-1]
    height, width, channels, filters = shape
    if "Depthwise" in type(layer).__name__:
        return [channels * filters, 1, height, width]
    return [filters, channels, height, width]


def _layers(network, names):
    """Return (layer, module) of ``names``; none of the network's layers may be forgotten."""
    unnamed = {layer.name for layer in network.layers if layer.weights} - set(names) - {"head"}
    if unnamed:
        raise ValueError(
            f"layers of {network.name} without a PyTorch name: {', '.join(sorted(unnamed))}; "
            "add them to the names"
        )
    return [(network.get_layer(layer), module) for layer, module in names.items()]


def _torch_name(variable):
    """Return what PyTorch calls ``variable`` within its module."""
    return BATCH_NORMALIZATION.get(variable.name, "bias" if variable.name == "bias" else "weight")


def _problems(file, wanted):
    """Return what keeps the arrays of ``file`` from being ``wanted``, one text each."""
    present = set(file.keys())
    problems = []
    for name, (layer, variable) in wanted.items():
        if name not in present:
            problems.append(f"{name} is missing")
            continue
        found = file.get_slice(name)
        expected = torch_shape(variable, layer)
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
