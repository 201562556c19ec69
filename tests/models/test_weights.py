"""Where the weights of the networks come from: the seed, files, ImageNet."""

import dataclasses
import hashlib
import random

import numpy as np
import pytest

from leukkit import models
from leukkit.models import networks
from leukkit.models import weights as weights_module
from tests.models import torch_reference
from tests.models.building import digest, images, predict, trunk
from tests.models.test_backbones import keras_module

# ---------------------------------------------------------------- random weights


def test_random_weights_depend_on_the_seed_alone():
    import keras

    keras.utils.set_random_seed(1)
    first = models.build("efficientnetb0", 2, 32, head="attention")
    keras.utils.set_random_seed(2)
    again = models.build("efficientnetb0", 2, 64, head="attention")
    other = models.build("efficientnetb0", 2, 32, head="attention", seed=1)
    assert digest(first) == digest(again) != digest(other)


def test_random_weights_leave_the_generators_of_others_alone():
    import keras

    network = models.build_backbone("mobilenet-0.25", 32, None)
    keras.utils.set_random_seed(5)
    expected = keras.random.uniform((3,)).numpy(), np.random.random(), random.random()  # noqa: NPY002
    keras.utils.set_random_seed(5)
    weights_module.set_random_weights(network, seed=3)
    found = keras.random.uniform((3,)).numpy(), np.random.random(), random.random()  # noqa: NPY002
    assert (found[0] == expected[0]).all()
    assert found[1:] == expected[1:]


def test_a_second_network_whose_layers_keras_names_has_the_same_random_weights():
    first = models.build_backbone("xception", 71, None, width=1 / 8)  # conv2d, conv2d_1, …
    second = models.build_backbone("xception", 71, None, width=1 / 8)  # conv2d_4, …
    assert digest(first) == digest(second)


def test_random_weights_are_he_normal_by_what_one_output_sees():
    def deviations(network, layer):
        arrays = network.get_layer(layer).get_weights()
        return [values.std() for values in arrays if values.ndim > 1]

    def expected(*inputs):
        return pytest.approx([np.sqrt(2 / count) for count in inputs], rel=0.03)

    mobilenet = models.build_backbone("mobilenetv2", 32, None)
    assert deviations(mobilenet, "block_16_project") == expected(960)  # 1 x 1
    assert deviations(mobilenet, "block_16_depthwise") == expected(9)  # 3 x 3, one channel
    assert abs(mobilenet.get_layer("block_16_project").kernel.numpy().mean()) < 1e-3
    gamma, beta, mean, variance = mobilenet.get_layer("Conv_1_bn").get_weights()
    assert (gamma == 1).all() and (beta == 0).all() and (mean == 0).all() and (variance == 1).all()
    vgg = models.build_backbone("vgg19", 32, None)
    assert deviations(vgg, "block5_conv4") == expected(9 * 512)
    assert (vgg.get_layer("block5_conv4").bias.numpy() == 0).all()
    xception = models.build_backbone("xception", 71, None)
    assert deviations(xception, "block5_sepconv1") == expected(9, 728)  # depthwise, pointwise
    shufflenet = models.build_backbone("shufflenet", 32, None)
    assert deviations(shufflenet, "stage4.1.expand") == expected(80)  # 240 inputs in 3 groups
    head = models.build("efficientnetb0", 2, 32, head="attention").get_layer("head")
    kernels = [values for values in head.get_layer("attention").get_weights() if values.ndim == 3]
    found = [kernel.std() for kernel in kernels]  # query, key, value; output of 4 heads of 64
    assert found == expected(1280, 1280, 1280, 256)
    predictions = head.get_layer("predictions").kernel.numpy()
    last = 256  # units of the last dense layer
    assert predictions.std() == pytest.approx(0.01 * np.sqrt(2 / last), rel=0.2)


# ---------------------------------------------------------------- files


def save(network, path):
    network.save_weights(path) if path.name.endswith(".weights.h5") else network.save(path)


@pytest.mark.parametrize("name", ["saved.weights.h5", "saved.keras", "older.h5"])
def test_weights_of_a_file_are_loaded_at_any_image_size(tmp_path, name):
    saved = models.build_backbone("mobilenet-0.25", 32, None, seed=9)
    save(saved, tmp_path / name)
    assert digest(models.build_backbone("mobilenet-0.25", 96, tmp_path / name)) == digest(saved)
    network = models.build("mobilenet-0.25", 2, 64, tmp_path / name, seed=4)
    assert digest(trunk(network)) == digest(saved)
    others = models.build("mobilenet-0.25", 2, 64, None, seed=4)
    assert digest(network.get_layer("head")) == digest(others.get_layer("head"))


def test_backbone_weights_of_a_torch_file(tmp_path):
    from safetensors.numpy import save_file

    reference = torch_reference.Reference()
    torch_reference.resnet18(reference, np.zeros((1, 3, 32, 32)))
    path = tmp_path / "resnet18.safetensors"
    save_file(reference.state, path)
    network = models.build("resnet18", 2, 32, path)
    expected = reference.state["layer4.1.conv2.weight"].transpose(2, 3, 1, 0)
    assert (network.get_layer("layer4.1.conv2").kernel.numpy() == expected).all()
    used = models.weights_used("resnet18", path, 32)
    assert used == f"file resnet18.safetensors (sha256 {weights_module.sha256(path)[:12]})"
    save_file({"conv1.weight": reference.state["conv1.weight"]}, path)
    with pytest.raises(models.WeightsError, match=r"resnet18.safetensors.*bn1\.\w+ is missing"):
        models.build("resnet18", 2, 32, path)
    with pytest.raises(models.WeightsError, match=r"of mobilenetv2 without its top"):
        models.build("mobilenetv2", 2, 32, path)


def test_weights_of_dex_by_member(small_dex, tmp_path):
    path = tmp_path / "mobilenet.weights.h5"
    saved = models.build_backbone("mobilenet-0.25", 32, None, seed=9)
    saved.save_weights(path)
    weights = {"mobilenet-0.25": path, "resnet18": None, "shufflenet": None}
    network = models.build("dex", 2, 32, weights)
    assert digest(trunk(network.get_layer("mobilenet-0.25"))) == digest(saved)
    used = models.weights_used("dex", weights, 32, seed=3)
    assert used.startswith("mobilenet-0.25: file mobilenet.weights.h5 (sha256 ")
    assert used.endswith("; resnet18: random, seed 3; shufflenet: random, seed 3")
    for wrong in (path, {"resnet18": None}):
        with pytest.raises(models.WeightsError, match=r"weights of dex.*a dict with the"):
            models.build("dex", 2, 32, wrong)
    with pytest.raises(models.WeightsError, match="a dict is for dex alone"):
        models.build("resnet18", 2, 32, weights)


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
    for value in (np.nan, np.inf):
        network.get_layer("conv1").kernel.assign(np.full((3, 3, 3, 8), value))
        network.save_weights(path)
        with pytest.raises(models.WeightsError, match=r"1 of its 135 arrays .*NaN or infinity"):
            models.build_backbone("mobilenet-0.25", 32, weights=path)


def test_a_small_file_that_declares_more_than_memory_is_refused(tmp_path):
    import h5py

    with h5py.File(tmp_path / "bomb.weights.h5", "w") as file:
        file.create_dataset("layers/conv1/vars/0", (10**6, 10**6), "float32", chunks=(100, 100))
    with pytest.raises(models.WeightsError, match="would take 3725 GiB of memory"):
        models.build_backbone("mobilenet-0.25", 32, weights=tmp_path / "bomb.weights.h5")


def test_a_download_that_is_another_file_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    there = tmp_path / "models" / "resnet18.tv_in1k.safetensors"
    there.write_bytes(b"exchanged")
    asked = []

    def get_file(*arguments, file_hash, **_):
        asked.append(file_hash)
        raise ValueError("Incomplete or corrupted file detected")

    import keras

    monkeypatch.setattr(keras.utils, "get_file", get_file)
    with pytest.raises(ValueError, match="Incomplete or corrupted"):
        models.weights_id("resnet18")
    assert asked == [models.BACKBONES["resnet18"].hash]
    known = dataclasses.replace(models.BACKBONES["resnet18"], hash=weights_module.sha256(there))
    monkeypatch.setitem(models.BACKBONES, "resnet18", known)
    assert models.weights_id("resnet18") == known.hash and len(asked) == 1


@pytest.mark.parametrize("name", ["broken.h5", "broken.weights.h5", "broken.keras"])
def test_a_file_that_holds_no_weights(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"not weights at all")
    with pytest.raises(models.WeightsError, match="does not hold the weights of mobilenet"):
        models.build_backbone("mobilenet-0.25", 32, weights=path)


def test_a_weights_file_that_does_not_exist():
    with pytest.raises(models.WeightsError, match=r"no weights file .*missing.h5 for vgg19"):
        models.build_backbone("vgg19", 32, weights="missing.h5")
    with pytest.raises(models.WeightsError, match=r"no weights file .*for resnet18.*safetensors"):
        models.build("resnet18", 2, 32, "missing.safetensors")


# ---------------------------------------------------------------- ImageNet


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
    expected = predict(reference, images())
    found = predict(models.build_backbone("efficientnetb0", 32, path), images())
    assert np.abs(expected).max() > 0
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def test_vgg19_takes_the_dense_layers_of_imagenet_at_224_pixels_only():
    for name, size, head, dense, used in (
        ("vgg19", 224, "vgg_dense", True, "ImageNet"),
        ("vgg19", 64, models.heads.vgg_dense, False, "ImageNet, without fc1 and fc2"),
        ("vgg19", 224, None, False, "ImageNet"),
        ("vgg16", 224, models.heads.vgg_dense, False, "ImageNet, without fc1 and fc2"),
        ("dex", 224, None, False, "ImageNet"),
    ):
        assert weights_module.has_dense_weights(name, "imagenet", size, head) == dense
        assert models.weights_used(name, "imagenet", size, head=head) == used
    assert models.weights_used("vgg19", None, 224, seed=7, head="vgg_dense") == "random, seed 7"


def test_the_dense_layers_of_vgg19_come_from_the_older_format(tmp_path, monkeypatch):
    import h5py
    import keras

    generator = np.random.default_rng(0)
    shapes = {"fc1": (8, 4096), "fc2": (4096, 4096)}
    expected = {name: generator.random(shape, np.float32) for name, shape in shapes.items()}
    with h5py.File(tmp_path / "top.h5", "w") as file:
        for name, kernel in expected.items():
            group = file.create_group(name)
            group.attrs["weight_names"] = [f"{name}/kernel:0".encode(), f"{name}/bias:0".encode()]
            group[f"{name}/kernel:0"] = kernel
            group[f"{name}/bias:0"] = np.full(4096, 2, np.float32)
    monkeypatch.setattr(weights_module, "_keras_file", lambda *address: tmp_path / "top.h5")
    monkeypatch.setattr(networks, "weights_file", lambda *given: None)
    monkeypatch.setattr(weights_module, "VGG19_IMAGE_SIZE", 32)
    eight = keras.layers.Conv2D(8, 32)  # one position, 8 channels
    monkeypatch.setattr(networks.backbones, "feature_map", lambda name, pixels: eight(pixels))
    head = models.build("vgg19", 2, 32, "imagenet", "vgg_dense").get_layer("head")
    for name, kernel in expected.items():
        found, bias = head.get_layer(name).get_weights()
        assert (found == kernel).all() and (bias == 2).all()


@pytest.mark.parametrize("name", ["googlenet", "shufflenet", "seresnet152"])
def test_no_imagenet_weights_are_published_of_these(name, offline, tmp_path):
    place = tmp_path / "models" / f"{name}.safetensors"
    for build in (
        lambda: models.build(name, 2, 32, "imagenet"),
        lambda: models.build_backbone(name, 32),
    ):
        with pytest.raises(models.WeightsError, match=f"{name} are published.* at {place}"):
            build()
    place.parent.mkdir()
    place.write_bytes(b"weights")
    assert weights_module.weights_file(name, "imagenet") == place


@pytest.mark.parametrize("name", ["vgg19", "resnet18", "dex"])
def test_imagenet_weights_that_cannot_be_downloaded(name, offline, tmp_path):
    with pytest.raises(models.WeightsError, match=r"URL fetch failure on https://") as caught:
        models.build(name, 2, 224, "imagenet")
    place = f"put the file at {tmp_path / 'models'}"
    for part in ("cannot be downloaded", place, "weights=…/file", "weights=None"):
        assert part in str(caught.value)


def test_a_broken_download_is_fetched_again(tmp_path, monkeypatch):
    import keras

    asked = []
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    fetched = tmp_path / "fetched"
    fetched.write_bytes(b"whole")
    monkeypatch.setattr(keras.utils, "get_file", lambda *a, **k: asked.append(a[0]) or fetched)
    name = models.BACKBONES["vgg19"].file_name
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / name).write_bytes(b"half a file")
    assert weights_module.weights_file("vgg19", "imagenet") == fetched
    assert asked == [name]


def test_weights_that_nobody_states_a_hash_of_stay_those_of_the_first_download(offline, tmp_path):
    saved = tmp_path / "models" / models.BACKBONES["mobilenetv2"].file_name
    saved.parent.mkdir()
    saved.write_bytes(b"weights")
    first = models.weights_id("mobilenetv2", "imagenet")  # needs no network
    assert first == hashlib.sha256(b"weights").hexdigest()
    assert models.weights_id("mobilenetv2", "imagenet") == first
    saved.write_bytes(b"exchanged")
    with pytest.raises(models.WeightsError, match=f"not the file that was downloaded.*{first}"):
        models.weights_id("mobilenetv2", "imagenet")


def test_equal_weights_have_equal_ids(tmp_path):
    one, other = tmp_path / "one.h5", tmp_path / "other.h5"
    one.write_bytes(b"weights")
    other.write_bytes(b"weights")
    assert models.weights_id("vgg19", one) == models.weights_id("vgg19", str(other))
    other.write_bytes(b"changed")
    assert models.weights_id("vgg19", one) != models.weights_id("vgg19", other)
    assert models.weights_id("vgg19", None, 0) == models.weights_id("vgg19", None, 0)
    assert models.weights_id("vgg19", None, 0) != models.weights_id("vgg19", None, 1)
