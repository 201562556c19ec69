"""The table of backbones against Keras's own sources, and the extractors built from it."""

import importlib
import pathlib

import numpy as np
import pytest

from leukkit import models
from tests.models.building import images

KERAS_NAMES = [name for name, backbone in models.BACKBONES.items() if backbone.builder]


def keras_module(name):
    import keras

    builder = getattr(keras.applications, models.BACKBONES[name].builder)
    return importlib.import_module(builder.__module__)


def test_every_address_is_of_one_revision():
    for backbone in models.BACKBONES.values():
        assert "/main/" not in backbone.url
        assert "huggingface" not in backbone.url or len(backbone.hash) == 64


@pytest.mark.parametrize("name", KERAS_NAMES)
def test_weights_addresses_are_those_of_keras(name):
    source = pathlib.Path(keras_module(name).__file__).read_text(encoding="utf-8")
    known = models.BACKBONES[name].hash
    assert known is None or len(known) == 64 or f'"{known}"' in source  # Keras states MD5s
    folder, file_name = models.BACKBONES[name].url.split("/")[-2:]
    assert f"{folder}/" in source.replace('"\n    "', "")
    if name.startswith(("vgg", "densenet", "inception", "xception")):  # others are put together
        assert file_name in source


def test_weights_files_of_our_own_networks_have_names_that_tell_them_apart():
    assert models.BACKBONES["resnet18"].file_name == "resnet18.tv_in1k.safetensors"


@pytest.mark.parametrize("name", KERAS_NAMES)
def test_input_is_prepared_as_keras_does(name):
    pixels = images(1, 4)
    before = pixels.copy()
    expected = keras_module(name).preprocess_input(pixels.astype(np.float32))
    np.testing.assert_array_equal(models.prepare_input(name, pixels), expected)
    np.testing.assert_array_equal(pixels, before)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("googlenet", [1, -1, -1]),
        ("resnet18", [(1 - 0.485) / 0.229, -0.456 / 0.224, -0.406 / 0.225]),
    ],
)
def test_red_is_prepared_as_networks_that_keras_lacks_were_trained(name, expected):
    red = np.array([[[[255, 0, 0]]]], np.uint8)
    np.testing.assert_allclose(models.prepare_input(name, red)[0, 0, 0], expected, rtol=1e-5)


def test_an_unknown_name_and_an_image_size_below_the_smallest():
    with pytest.raises(ValueError, match=r"'vgg20'.*densenet201"):
        models.build_backbone("vgg20")
    with pytest.raises(ValueError, match="image_size is 31; vgg19 needs at least 32"):
        models.build_backbone("vgg19", 31, None)


@pytest.mark.parametrize("size", [64, 224])
def test_mobilenet_with_real_weights_sees(mobilenet_weights, size):
    """Trained filters tell a pattern from its own shifted copy less than from another pattern."""
    network = models.build_backbone("mobilenet-0.25", size, mobilenet_weights)
    rows, columns = np.mgrid[:size, :size]
    stripes = np.uint8(255 * (columns // 8 % 2))
    checks = np.uint8(255 * ((columns // 8 + rows // 8) % 2))
    seen = np.stack([stripes, np.roll(stripes, 4, axis=1), checks])
    seen = np.repeat(seen[..., np.newaxis], 3, axis=-1)
    features = network.predict_on_batch(models.prepare_input("mobilenet-0.25", seen))
    assert features.min() >= 0 and features.max() <= 6  # ReLU6
    assert 0.01 < features.mean() < 2
    same, other = np.linalg.norm(features[0] - features[1:], axis=1)
    assert same < 0.7 * other
