"""The feature extractors: sizes, weights from everywhere, errors."""

import hashlib
import importlib
import os
import pathlib
import random

import numpy as np
import pytest

from leukkit import models
from leukkit.models import backbones

# Number of channels of the last convolution, from the papers of the networks.
FEATURES = {
    "vgg19": 512,
    "resnet50": 2048,
    "mobilenetv2": 1280,
    "densenet121": 1024,
    "densenet169": 1664,
    "densenet201": 1920,
    "mobilenet-0.25": 256,
}


@pytest.fixture(scope="module")
def mobilenet_weights():
    data = os.environ.get("LEUKKIT_TEST_DATA")
    if not data:
        pytest.skip("LEUKKIT_TEST_DATA is not set")
    path = pathlib.Path(data).parent / "weights" / "mobilenet_2_5_224_tf_no_top.h5"
    if not path.exists():
        pytest.skip(f"no MobileNet weights at {path}")
    return path


def images(count=4, size=32, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def test_the_table_holds_the_six_extractors_of_table_iv_and_the_small_one():
    assert {name: backbone.features for name, backbone in models.BACKBONES.items()} == FEATURES


@pytest.mark.parametrize("name", FEATURES)
def test_each_gives_as_many_features_as_the_table_says(name):
    network = models.build_backbone(name, 32, weights=None)
    assert network.input_shape == (None, 32, 32, 3)
    assert network.output_shape == (None, FEATURES[name])
    if name in ("densenet121", "densenet169"):
        return  # built like the third DenseNet
    features = np.asarray(network(models.prepare_input(name, images()), training=False))
    assert np.isfinite(features).all()
    assert (features.std(axis=0) > 0).mean() > 0.5  # random weights, but not blind


@pytest.mark.parametrize("name", FEATURES)
def test_weights_addresses_are_those_of_keras(name):
    source = pathlib.Path(
        importlib.import_module(f"keras.src.applications.{models.BACKBONES[name].module}").__file__
    ).read_text(encoding="utf-8")
    folder, file_name = models.BACKBONES[name].url.split("/")[-2:]
    assert f"keras-applications/{folder}/" in source.replace('"\n    "', "")
    known = models.BACKBONES[name].md5
    assert known is None or f'"{known}"' in source
    if "mobilenet" not in name:  # those are put together from alpha and size
        assert file_name.removeprefix("resnet50") in source


def test_input_is_prepared_as_each_network_was_trained():
    white = np.full((1, 2, 2, 3), 255, np.uint8)
    white[..., 1:] = 0  # red, to tell RGB from BGR
    caffe_mean = np.array([103.939, 116.779, 123.68])  # blue, green, red
    for name in ("vgg19", "resnet50"):
        expected = np.array([0, 0, 255]) - caffe_mean
        np.testing.assert_allclose(models.prepare_input(name, white)[0, 0, 0], expected, rtol=1e-5)
    for name in ("mobilenetv2", "mobilenet-0.25"):
        np.testing.assert_allclose(models.prepare_input(name, white)[0, 0, 0], [1, -1, -1])
    expected = (np.array([1, 0, 0]) - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(
        models.prepare_input("densenet201", white)[0, 0, 0], expected, rtol=1e-5
    )
    assert white[0, 0, 0].tolist() == [255, 0, 0]  # the caller's images are untouched


def weights_digest(network):
    digest = hashlib.sha256()
    for values in network.get_weights():
        digest.update(values.tobytes())
    return digest.hexdigest()


def test_random_weights_depend_on_the_seed_alone():
    import keras

    keras.utils.set_random_seed(1)
    first = models.build_backbone("mobilenet-0.25", 32, None, seed=0)
    keras.utils.set_random_seed(2)
    again = models.build_backbone("mobilenet-0.25", 64, None, seed=0)
    other = models.build_backbone("mobilenet-0.25", 32, None, seed=1)
    assert weights_digest(first) == weights_digest(again) != weights_digest(other)


def test_random_weights_are_he_normal_with_plain_biases_and_batch_norm():
    network = models.build_backbone("mobilenetv2", 32, None)
    wide = network.get_layer("block_16_project").kernel.numpy()  # 1 x 1, 960 inputs
    assert wide.std() == pytest.approx(np.sqrt(2 / 960), rel=0.02)
    assert abs(wide.mean()) < 1e-3
    depthwise = network.get_layer("block_16_depthwise").get_weights()[0]  # 3 x 3, one channel
    assert depthwise.std() == pytest.approx(np.sqrt(2 / 9), rel=0.02)
    gamma, beta, mean, variance = network.get_layer("Conv_1_bn").get_weights()
    assert (gamma == 1).all() and (beta == 0).all()
    assert (mean == 0).all() and (variance == 1).all()
    vgg = models.build_backbone("vgg19", 32, None)
    kernel, bias = vgg.get_layer("block5_conv4").get_weights()  # 3 x 3 x 512 inputs
    assert kernel.std() == pytest.approx(np.sqrt(2 / (9 * 512)), rel=0.01)
    assert (bias == 0).all()


def test_drawing_weights_leaves_the_generators_of_others_alone():
    import keras

    network = models.build_backbone("mobilenet-0.25", 32, None)
    keras.utils.set_random_seed(5)
    expected = keras.random.uniform((3,)).numpy(), np.random.random(), random.random()  # noqa: NPY002
    keras.utils.set_random_seed(5)
    backbones.draw_weights(network, seed=3)
    drawn = keras.random.uniform((3,)).numpy(), np.random.random(), random.random()  # noqa: NPY002
    assert (drawn[0] == expected[0]).all()
    assert drawn[1:] == expected[1:]


@pytest.mark.parametrize("suffix", [".weights.h5", ".keras"])
def test_weights_of_a_file_are_loaded_at_any_image_size(tmp_path, suffix):
    saved = models.build_backbone("mobilenet-0.25", 32, None, seed=9)
    path = tmp_path / f"saved{suffix}"
    saved.save(path) if suffix == ".keras" else saved.save_weights(path)
    loaded = models.build_backbone("mobilenet-0.25", 96, weights=path)
    assert weights_digest(loaded) == weights_digest(saved)


def test_weights_of_another_network(tmp_path):
    import keras

    path = tmp_path / "other.weights.h5"
    models.build_backbone("mobilenet-0.25", 32, None).save_weights(path)
    with pytest.raises(models.WeightsError, match=r"other.weights.h5.*of mobilenetv2 without its"):
        models.build_backbone("mobilenetv2", 32, weights=path)
    wider = keras.applications.MobileNet(
        alpha=0.5, include_top=False, weights=None, input_shape=(32, 32, 3)
    )
    wider.save_weights(path)
    with pytest.raises(models.WeightsError, match=r"other.weights.h5.*mobilenet-0.25"):
        models.build_backbone("mobilenet-0.25", 32, weights=path)


def test_a_file_that_lacks_some_weights_or_holds_nan(tmp_path):
    path = tmp_path / "partial.weights.h5"
    network = models.build_backbone("mobilenet-0.25", 32, None)
    network.get_layer("conv1").kernel.assign(np.full((3, 3, 3, 8), np.nan))
    network.save_weights(path)
    with pytest.raises(models.WeightsError, match="1 of its 135 arrays are missing or hold NaN"):
        models.build_backbone("mobilenet-0.25", 32, weights=path)


@pytest.mark.parametrize("name", ["broken.h5", "broken.weights.h5", "broken.keras"])
def test_a_file_that_holds_no_weights(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"not weights at all")
    with pytest.raises(models.WeightsError, match="does not hold the weights of mobilenet"):
        models.build_backbone("mobilenet-0.25", 32, weights=path)


def test_a_weights_file_that_does_not_exist(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no weights file .*missing.h5 for vgg19"):
        models.build_backbone("vgg19", 32, weights=tmp_path / "missing.h5")


def test_imagenet_weights_that_cannot_be_downloaded(tmp_path, monkeypatch):
    import keras

    def offline(*arguments, **settings):
        raise Exception(f"URL fetch failure on {arguments[1]}: None -- Network is unreachable")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(keras.utils, "get_file", offline)
    with pytest.raises(models.WeightsError) as caught:
        models.build_backbone("densenet201", 32)
    message = str(caught.value)
    assert "URL fetch failure on https://" in message
    assert "densenet201_weights" in message
    assert "weights=…/file.h5" in message
    assert "weights=None" in message


def test_a_broken_download_is_fetched_again(tmp_path, monkeypatch):
    import keras

    asked = []
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(keras.utils, "get_file", lambda *a, **k: asked.append(a[0]) or "fetched")
    name = models.BACKBONES["vgg19"].url.rsplit("/", 1)[1]
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / name).write_bytes(b"half a file")
    assert backbones.weights_file("vgg19", "imagenet") == pathlib.Path("fetched")
    assert asked == [name]


def test_imagenet_weights_that_are_there_need_no_network(tmp_path, monkeypatch):
    import keras

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(keras.utils, "get_file", None)
    saved = tmp_path / "models" / models.BACKBONES["mobilenet-0.25"].url.rsplit("/", 1)[1]
    saved.parent.mkdir()
    saved.write_bytes(b"weights")
    found = models.weights_id("mobilenet-0.25", "imagenet")
    assert found == hashlib.sha256(b"weights").hexdigest()


def test_equal_weights_have_equal_ids(tmp_path):
    one, other = tmp_path / "one.h5", tmp_path / "other.h5"
    one.write_bytes(b"weights")
    other.write_bytes(b"weights")
    assert models.weights_id("vgg19", one) == models.weights_id("vgg19", str(other))
    other.write_bytes(b"changed")
    assert models.weights_id("vgg19", one) != models.weights_id("vgg19", other)
    assert models.weights_id("vgg19", None, 0) == models.weights_id("vgg19", None, 0)
    assert models.weights_id("vgg19", None, 0) != models.weights_id("vgg19", None, 1)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"'vgg20'.*densenet201"):
        models.build_backbone("vgg20")


def test_an_image_size_below_the_smallest():
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
