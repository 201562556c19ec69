"""Weights in PyTorch's layout: results known by hand, and files that do not fit."""

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from leukkit.models import WeightsError
from leukkit.models.weights import load_torch_weights

NAMES = {"convolution": "stem.0", "normalization": "stem.1"}  # "out" is called so in both


def small_network():
    import keras

    image = keras.Input((4, 4, 2))
    outputs = keras.layers.Conv2D(3, 3, name="convolution", use_bias=False)(image)
    outputs = keras.layers.BatchNormalization(epsilon=0, name="normalization")(outputs)
    outputs = keras.layers.GlobalAveragePooling2D()(outputs)
    outputs = keras.layers.Dense(5, name="out")(outputs)
    return keras.Model(image, outputs, name="small")


def arrays(kind=np.float32):
    generator = np.random.default_rng(0)
    shapes = {
        "stem.0.weight": (3, 2, 3, 3),
        "stem.1.weight": (3,),
        "stem.1.bias": (3,),
        "stem.1.running_mean": (3,),
        "stem.1.running_var": (3,),
        "out.weight": (5, 3),
        "out.bias": (5,),
    }
    return {name: generator.uniform(1, 2, shape).astype(kind) for name, shape in shapes.items()}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "small.safetensors"


def test_a_depthwise_convolution_by_hand(path):
    """Two filters for each of two channels; PyTorch keeps a channel's filters together."""
    import keras

    weight = np.zeros((4, 1, 3, 3), np.float32)
    weight[[0, 1, 2, 3], 0, [0, 0, 2, 2], [0, 2, 0, 1]] = 1  # 1 and 3; 16 and 17
    save_file({"module.weight": weight}, path)
    image = keras.Input((3, 3, 2))
    layer = keras.layers.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False)
    network = keras.Model(image, layer(image))
    load_torch_weights(network, path, {layer.name: "module"})
    counted = np.arange(1, 19, dtype=np.float32).reshape(2, 3, 3)  # 1 to 9 row by row; 10 to 18
    found = np.asarray(network(counted.transpose(1, 2, 0)[np.newaxis]))
    assert found.tolist() == [[[[1, 3, 16, 17]]]]


def test_a_dense_layer_and_batch_normalization_by_hand(path):
    state = arrays()
    save_file(state, path)
    network = small_network()
    load_torch_weights(network, path, NAMES)
    image = np.random.default_rng(1).standard_normal((1, 4, 4, 2), dtype=np.float32)
    seen = np.lib.stride_tricks.sliding_window_view(image[0], (3, 3), axis=(0, 1))
    maps = np.einsum("hwcij,ocij->hwo", seen, state["stem.0.weight"])
    maps = (maps - state["stem.1.running_mean"]) / np.sqrt(state["stem.1.running_var"])
    means = (maps * state["stem.1.weight"] + state["stem.1.bias"]).mean(axis=(0, 1))
    expected = state["out.weight"] @ means + state["out.bias"]
    np.testing.assert_allclose(np.asarray(network(image))[0], expected, rtol=1e-4)


@pytest.mark.parametrize("kind", [np.float16, np.float64])
def test_other_floating_point_numbers(path, kind):
    state = arrays(kind)
    save_file(state, path)
    network = small_network()
    load_torch_weights(network, path, NAMES)
    bias = network.get_layer("out").bias.numpy()
    np.testing.assert_allclose(bias, state["out.bias"], rtol=1e-6)


def test_what_stands_on_top_and_counters_are_left_out(path):
    state = arrays()
    state["stem.1.num_batches_tracked"] = np.array(12)
    state["fc.weight"] = state["aux1.conv.conv.weight"] = np.ones((1000, 3), np.float32)
    save_file(state, path)
    load_torch_weights(small_network(), path, NAMES)


OTHER = np.ones((3, 3, 3, 2), np.float32)  # the convolution as Keras lays it out


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        (
            {"stem.1.running_mean": None},
            r"small.safetensors does not hold PyTorch's weights of small "
            r"\(stem.1.running_mean is missing\). Give a .safetensors file of this very network",
        ),
        ({"stem.0.weight": OTHER}, r"stem.0.weight has the shape \[3, 3, 3, 2\], expected \[3, 2,"),
        ({"out.bias": np.ones(5, ml_dtypes.bfloat16)}, "out.bias is of kind BF16, expected one of"),
        ({"out.bias": np.ones(5, np.int32)}, "out.bias is of kind I32, expected one of F16, F32,"),
        # as ResNet-34 has all arrays of ResNet-18
        ({"stem.2.weight": OTHER}, "stem.2.weight has no place in this network"),
        (
            dict.fromkeys(arrays()) | {"other.weight": OTHER},
            "0.weight is missing; stem.1.weight is missing; stem.1.bias is missing; and 5 more",
        ),
    ],
)
def test_arrays_of_another_network_are_refused_before_any_is_loaded(path, changed, match):
    state = arrays() | changed
    save_file({name: values for name, values in state.items() if values is not None}, path)
    network = small_network()
    before = network.get_weights()
    with pytest.raises(WeightsError, match=match):
        load_torch_weights(network, path, NAMES)
    for values, old in zip(network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(values, old)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_no_numbers(path, value):
    state = arrays()
    state["out.weight"][2, 1] = value
    save_file(state, path)
    with pytest.raises(WeightsError, match=r"out.weight holds NaN or infinity"):
        load_torch_weights(small_network(), path, NAMES)


def test_a_file_that_is_cut_off_or_something_else(path):
    save_file(arrays(), path)
    for content in (path.read_bytes()[:-4], b"not weights at all"):
        path.write_bytes(content)
        with pytest.raises(WeightsError, match="not a complete safetensors file"):
            load_torch_weights(small_network(), path, NAMES)
