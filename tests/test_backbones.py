"""The feature extractors: sizes, weights from everywhere, errors."""

import hashlib
import importlib
import os
import pathlib
import random

import numpy as np
import pytest

from leukkit import models
from leukkit.models import weights as weights_module

# Number of channels of the last convolution, from the papers of the networks.
FEATURES = {
    "vgg19": 512,
    "resnet50": 2048,
    "mobilenetv2": 1280,
    "densenet121": 1024,
    "densenet169": 1664,
    "densenet201": 1920,
    "mobilenet-0.25": 256,
    "vgg16": 512,
    "inceptionv3": 2048,
    "xception": 2048,
    "efficientnetb0": 1280,
    "efficientnetb7": 2560,
    "resnet18": 512,
    "seresnet152": 2048,
    "googlenet": 1024,
    "shufflenet": 960,
}
KERAS_NAMES = [name for name, backbone in models.BACKBONES.items() if backbone.builder]
BUILT_LIKE_ANOTHER = ("densenet169", "densenet201", "efficientnetb7", "seresnet152")


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


def keras_module(name):
    import keras

    builder = getattr(keras.applications, models.BACKBONES[name].builder)
    return importlib.import_module(builder.__module__)


def test_the_table_holds_all_extractors():
    assert {name: backbone.features for name, backbone in models.BACKBONES.items()} == FEATURES


@pytest.mark.parametrize("name", [name for name in FEATURES if name not in BUILT_LIKE_ANOTHER])
def test_each_gives_as_many_features_as_the_table_says(name):
    size = models.BACKBONES[name].smallest_image
    network = models.build_backbone(name, size, weights=None)
    assert network.input_shape == (None, size, size, 3)
    assert network.output_shape == (None, FEATURES[name])
    pixels = models.prepare_input(name, images(size=size))
    features = np.asarray(network(pixels, training=False))
    assert np.isfinite(features).all()
    assert (features.std(axis=0) > 0).mean() > 0.5  # random weights, but not blind


@pytest.mark.parametrize("name", KERAS_NAMES)
def test_weights_addresses_are_those_of_keras(name):
    source = pathlib.Path(keras_module(name).__file__).read_text(encoding="utf-8")
    known = models.BACKBONES[name].md5
    assert known is None or f'"{known}"' in source
    folder, file_name = models.BACKBONES[name].url.split("/")[-2:]
    assert f"{folder}/" in source.replace('"\n    "', "")
    if name.startswith(("vgg", "densenet", "inception", "xception")):  # others are put together
        assert file_name in source


def test_weights_addresses_of_our_own_networks_have_names_that_tell_them_apart():
    files = {name: models.BACKBONES[name].file_name for name in ("resnet18", "seresnet152")}
    assert files == {
        "resnet18": "resnet18.tv_in1k.safetensors",
        "seresnet152": "legacy_seresnet152.in1k.safetensors",
    }


@pytest.mark.parametrize("name", KERAS_NAMES)
def test_input_is_prepared_as_keras_does(name):
    pixels = images(1, 4)
    expected = keras_module(name).preprocess_input(pixels.astype(np.float32))
    np.testing.assert_array_equal(models.prepare_input(name, pixels), expected)


@pytest.mark.parametrize("name", ["resnet18", "seresnet152", "googlenet", "shufflenet"])
def test_our_own_networks_are_normalized_as_their_modules_say(name):
    module = importlib.import_module(f"leukkit.models.{models.BACKBONES[name].module}")
    assert models.BACKBONES[name].normalization == module.NORMALIZATION


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


def test_kernels_of_other_shapes_are_drawn_by_what_one_output_sees():
    separable = models.build_backbone("xception", 71, None).get_layer("block5_sepconv1")
    depthwise, pointwise = (np.asarray(values) for values in separable.get_weights())
    assert depthwise.std() == pytest.approx(np.sqrt(2 / 9), rel=0.03)
    assert pointwise.std() == pytest.approx(np.sqrt(2 / 728), rel=0.03)
    grouped = models.build_backbone("shufflenet", 32, None).get_layer("stage4.1.expand")
    assert grouped.kernel.shape == (1, 1, 80, 960)  # 3 groups of 80 inputs
    assert grouped.kernel.numpy().std() == pytest.approx(np.sqrt(2 / 80), rel=0.03)


def test_a_second_network_whose_layers_keras_names_draws_the_same_weights():
    first = models.build_backbone("inceptionv3", 75, None)  # conv2d, conv2d_1, …
    second = models.build_backbone("inceptionv3", 75, None)  # conv2d_94, …
    assert weights_digest(first) == weights_digest(second)


def test_efficientnet_sees_what_keras_has_it_see_with_imagenet_weights(tmp_path, monkeypatch):
    """Keras adds a layer that makes up for its file's variances if it loads the file itself."""
    import keras

    saved = models.build_backbone("efficientnetb0", 32, None)
    first = next(layer for layer in saved.layers if layer.name.startswith("normalization"))
    deviation = np.array([0.229, 0.224, 0.225], np.float32)  # where the variance should be
    first.set_weights([np.array([0.485, 0.456, 0.406]), deviation, np.array(0)])
    path = tmp_path / "efficientnetb0_notop.h5"
    saved.save(path)
    module = keras_module("efficientnetb0")
    monkeypatch.setattr(module.file_utils, "get_file", lambda *a, **k: path)
    reference = keras.applications.EfficientNetB0(
        include_top=False, weights="imagenet", input_shape=(32, 32, 3), pooling="avg"
    )
    ours = models.build_backbone("efficientnetb0", 32, path)
    pixels = images().astype(np.float32)
    expected = np.asarray(reference(pixels, training=False))
    found = np.asarray(ours(pixels, training=False))
    assert np.abs(expected).max() > 0
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def test_no_imagenet_weights_to_download():
    with pytest.raises(models.WeightsError, match=r"of googlenet are published.*safetensors"):
        models.build_backbone("googlenet", 32)


def test_drawing_weights_leaves_the_generators_of_others_alone():
    import keras

    network = models.build_backbone("mobilenet-0.25", 32, None)
    keras.utils.set_random_seed(5)
    expected = keras.random.uniform((3,)).numpy(), np.random.random(), random.random()  # noqa: NPY002
    keras.utils.set_random_seed(5)
    weights_module.draw_weights(network, seed=3)
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
    assert "weights=…/file" in message
    assert "weights=None" in message


def test_a_broken_download_is_fetched_again(tmp_path, monkeypatch):
    import keras

    asked = []
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(keras.utils, "get_file", lambda *a, **k: asked.append(a[0]) or "fetched")
    name = models.BACKBONES["vgg19"].url.rsplit("/", 1)[1]
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / name).write_bytes(b"half a file")
    assert weights_module.weights_file("vgg19", "imagenet") == pathlib.Path("fetched")
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
