"""Where the weights of the networks come from: the seed, files, ImageNet."""

import numpy as np
import pytest

from leukkit import models
from leukkit.models import networks
from leukkit.models import weights as weights_module
from tests.models.building import digest, trunk


def test_everything_is_drawn_from_the_seed_alone():
    import keras

    keras.utils.set_random_seed(1)
    first = models.build("efficientnetb0-attention", 2, 32, seed=0)
    keras.utils.set_random_seed(2)
    again = models.build("efficientnetb0-attention", 2, 32, seed=0)
    other = models.build("efficientnetb0-attention", 2, 32, seed=1)
    assert digest(first) == digest(again) != digest(other)
    attention = first.get_layer("head").get_layer("attention")
    kernels = [values for values in attention.get_weights() if values.ndim == 3]
    deviations = [kernel.std() for kernel in kernels]  # query, key, value: 1,280 inputs
    assert deviations[:3] == pytest.approx([np.sqrt(2 / 1280)] * 3, rel=0.02)
    assert deviations[3] == pytest.approx(np.sqrt(2 / 256), rel=0.02)  # output: 4 heads of 64
    predictions = first.get_layer("head").get_layer("predictions").kernel.numpy()
    assert predictions.std() == pytest.approx(0.01 * np.sqrt(2 / 128), rel=0.2)


@pytest.mark.parametrize("suffix", [".weights.h5", ".keras"])
def test_backbone_weights_of_a_keras_file(tmp_path, suffix):
    saved = models.build_backbone("mobilenet-0.25", 32, None, seed=9)
    path = tmp_path / f"saved{suffix}"
    saved.save(path) if suffix == ".keras" else saved.save_weights(path)
    network = models.build("mobilenet-0.25", 2, 64, path, seed=4)
    assert digest(trunk(network)) == digest(saved)
    drawn = models.build("mobilenet-0.25", 2, 64, None, seed=4)
    assert digest(network.get_layer("head")) == digest(drawn.get_layer("head"))


def test_weights_of_a_file_in_the_older_format(tmp_path):
    saved = models.build_backbone("mobilenet-0.25", 32, None, seed=9)
    saved.save(tmp_path / "older.h5")
    network = models.build("mobilenet-0.25", 2, 32, tmp_path / "older.h5")
    assert digest(trunk(network)) == digest(saved)


def test_backbone_weights_of_a_torch_file(tmp_path):
    from safetensors.numpy import save_file

    saved = models.build("resnet18", 2, 32, seed=9)
    arrays = {}
    kinds = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean"}
    kinds |= {"moving_variance": "running_var", "kernel": "weight"}
    for layer in trunk(saved).layers:
        for variable in layer.weights:
            values = np.asarray(variable)
            values = values.transpose(3, 2, 0, 1) if values.ndim == 4 else values
            arrays[f"{layer.name}.{kinds[variable.name]}"] = np.ascontiguousarray(values)
    path = tmp_path / "resnet18.safetensors"
    save_file(arrays, path)
    network = models.build("resnet18", 2, 32, path)
    assert digest(trunk(network)) == digest(trunk(saved))
    used = models.weights_used("resnet18", path, 32)
    assert used == f"file resnet18.safetensors (sha256 {weights_module.sha256(path)[:12]})"
    save_file({"conv1.weight": arrays["conv1.weight"]}, path)
    with pytest.raises(models.WeightsError, match=r"resnet18.safetensors.*bn1\.\w+ is missing"):
        models.build("resnet18", 2, 32, path)
    with pytest.raises(models.WeightsError, match=r"of mobilenetv2 without its top"):
        models.build("mobilenetv2", 2, 32, path)


def test_vgg19_takes_the_dense_layers_of_imagenet_at_224_pixels_only(tmp_path, monkeypatch):
    monkeypatch.setattr(networks, "weights_file", lambda *arguments: "convolutions")
    monkeypatch.setattr(networks, "vgg19_top_file", lambda: "dense")
    at_224 = networks._files("vgg19", "imagenet", 224)
    assert at_224 == {"trunk": "convolutions", "top": "dense"}
    assert networks._files("vgg19", "imagenet", 64) == {"trunk": "convolutions"}
    assert networks._files("resnet50", "imagenet", 224) == {"trunk": "convolutions"}
    assert models.weights_used("vgg19", "imagenet", 224) == "ImageNet"
    assert models.weights_used("vgg19", "imagenet", 64) == "ImageNet, without fc1 and fc2"


def test_the_dense_layers_of_vgg19_come_from_the_older_format(tmp_path):
    import h5py

    from leukkit.models.heads import build_head

    generator = np.random.default_rng(0)
    shapes = {"fc1": (8, 4096), "fc2": (4096, 4096)}
    expected = {name: generator.random(shape, np.float32) for name, shape in shapes.items()}
    with h5py.File(tmp_path / "top.h5", "w") as file:
        for name, kernel in expected.items():
            group = file.create_group(name)
            group.attrs["weight_names"] = [f"{name}/kernel:0".encode(), f"{name}/bias:0".encode()]
            group[f"{name}/kernel:0"] = kernel
            group[f"{name}/bias:0"] = np.full(4096, 2, np.float32)
    head = build_head("vgg19", (1, 1, 8), 2)
    weights_module.load_vgg19_top(head, tmp_path / "top.h5")
    for name, kernel in expected.items():
        found, bias = head.get_layer(name).get_weights()
        assert (found == kernel).all() and (bias == 2).all()


def test_weights_of_dex_by_member(small_dex, tmp_path):
    path = tmp_path / "mobilenet.weights.h5"
    saved = models.build_backbone("mobilenet-0.25", 32, None, seed=9)
    saved.save_weights(path)
    weights = {"mobilenet-0.25": path, "resnet18": None, "shufflenet": None}
    network = models.build("dex", 2, 32, weights)
    assert digest(trunk(network.get_layer("mobilenet-0.25"))) == digest(saved)
    used = models.weights_used("dex", weights, 32, seed=3)
    assert used.startswith("mobilenet-0.25: file mobilenet.weights.h5 (sha256 ")
    assert used.endswith("; resnet18: drawn, seed 3; shufflenet: drawn, seed 3")
    with pytest.raises(models.WeightsError, match="is one file for three networks"):
        models.build("dex", 2, 32, path)
    with pytest.raises(models.WeightsError, match="expected one of each"):
        models.build("dex", 2, 32, {"resnet18": None})
    with pytest.raises(models.WeightsError, match="a dict is for dex alone"):
        models.build("resnet18", 2, 32, weights)


def test_what_is_published():
    without = {name for name in models.NAMES if not models.has_imagenet(name)}
    assert without == {"googlenet", "shufflenet"}
    for name in without:
        with pytest.raises(models.WeightsError, match=f"{name} are published.*safetensors"):
            models.build(name, 2, 32, "imagenet")
    assert models.weights_used("dex", "imagenet", 224) == "ImageNet"
    assert models.weights_used("vgg19", None, 224, seed=7) == "drawn, seed 7"


@pytest.mark.parametrize("name", ["vgg19", "vgg16-cnn", "resnet18", "dex"])
def test_imagenet_weights_that_cannot_be_downloaded(name, tmp_path, monkeypatch):
    import keras

    def offline(*arguments, **settings):
        raise Exception(f"URL fetch failure on {arguments[1]}: None -- Network is unreachable")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(keras.utils, "get_file", offline)
    with pytest.raises(models.WeightsError, match=r"cannot be downloaded.*put the file at"):
        models.build(name, 2, 224, "imagenet")
