"""The networks that are trained: their parts, sizes, normalization, weights and errors."""

import numpy as np
import pytest

from leukkit import explain, models
from leukkit.models import catalog
from leukkit.models import weights as weights_module
from tests.models.building import digest, images, predict, trunk

# Parameters with the 1,000 classes of ImageNet, moving statistics included: keras.io/applications
# (EfficientNet: with the 7 numbers of its own normalization); VGG's, of the convolutions alone.
PUBLISHED = {
    "densenet121": 8_062_504,
    "densenet169": 14_307_880,
    "densenet201": 20_242_984,
    "resnet50": 25_636_712,
    "mobilenetv2": 3_538_984,
    "mobilenet-0.25": 475_544,
    "efficientnetb0": 5_330_571,
    "efficientnetb7": 66_658_687,
    "inceptionv3": 23_851_784,
    "xception": 22_910_480,
}
CONVOLUTIONS = {"vgg19": 20_024_384, "vgg16-cnn": 14_714_688}
SINGLE = [name for name in models.NAMES if name != "dex"]


def backbone_of(name):
    return models.BACKBONES[catalog.SPECIAL.get(name, (name,))[0]]


def test_the_names_are_those_of_the_papers():
    assert len(set(models.NAMES)) == len(models.NAMES) == 18
    assert {"vgg19", "vgg16-cnn", "efficientnetb0-attention", "dex"} < set(models.NAMES)


@pytest.mark.parametrize("name", SINGLE)
def test_every_network_has_the_same_parts_and_can_be_explained(name):
    import keras

    size = backbone_of(name).smallest_image
    network = models.build(name, 3, size)
    assert network.name == name
    assert network.input_shape == (None, size, size, 3)
    assert [layer.name for layer in network.layers[:2]] == ["image", "normalize"]
    assert [layer.name for layer in network.layers[-2:]] == ["features", "head"]
    nested = [layer.name for layer in network.layers if isinstance(layer, keras.Model)]
    assert nested == ["head"]
    head = network.get_layer("head")
    assert head.layers[-1].name == "predictions"
    assert head.layers[-1].activation is keras.activations.softmax
    assert len(network.get_layer("features").output.shape) == 4
    assert network.get_layer("features").output.shape[-1] == backbone_of(name).features

    pixels = images(size=size)
    probabilities = predict(network, pixels)
    assert probabilities.shape == (2, 3) and probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    seen = predict(trunk(network), pixels)
    assert np.isfinite(seen).all()
    np.testing.assert_allclose(predict(head, seen), probabilities, rtol=1e-3, atol=1e-6)

    maps = explain.grad_cam(network, pixels, classes=[0, 2])
    assert maps.shape == (2, size, size)
    assert np.isfinite(maps).all() and maps.min() >= 0 and maps.max() <= 1

    below = network.count_params() - head.count_params()
    if name in PUBLISHED:
        assert below + 1000 * (backbone_of(name).features + 1) == PUBLISHED[name]
    if name in CONVOLUTIONS:
        assert below == CONVOLUTIONS[name]


def test_vgg19_has_as_many_parameters_as_patel2025_says():
    from leukkit.models.heads import build_head

    head = build_head("vgg19", (7, 7, 512), 2)  # a 224-pixel image, halved five times
    assert head.count_params() + CONVOLUTIONS["vgg19"] == 139_578_434


def test_the_head_of_mishra_reaches_one_position_and_512_units():
    from leukkit.models.heads import build_head

    head = build_head("convolutions", (7, 7, 512), 4)
    assert head.get_layer("head_pool3").output.shape[1:] == (1, 1, 64)
    convolutions = 9 * 512 * 256 + 256 + 9 * 256 * 128 + 128 + 9 * 128 * 64 + 64
    dense = (64 * 512 + 512) + (512 * 512 + 512) + 2 * 4 * 512 + (512 * 4 + 4)
    assert head.count_params() == convolutions + dense
    rates = [layer.rate for layer in head.layers if type(layer).__name__ == "Dropout"]
    assert rates == [0.1, 0.2]


def test_the_head_of_samhitha_attends_over_all_positions():
    from leukkit.models.heads import build_head

    head = build_head("attention", (3, 3, 8), 2)
    attention = 3 * (8 * 256 + 256) + 256 * 8 + 8  # 4 heads of 64: query, key, value; output
    dense = (8 * 256 + 256) + 4 * 256 + (256 * 128 + 128) + 4 * 128 + (128 * 2 + 2)
    assert head.count_params() == attention + dense
    rates = [layer.rate for layer in head.layers if type(layer).__name__ == "Dropout"]
    assert rates == [0.5, 0.3]
    assert head.get_layer("dense1_leaky_relu").negative_slope == pytest.approx(0.1)
    weights_module.draw_weights(head, 0)
    maps = np.random.default_rng(0).normal(size=(1, 3, 3, 8)).astype(np.float32)
    moved = np.roll(maps, 1, axis=1)  # without position codes the order says nothing
    np.testing.assert_allclose(predict(head, maps), predict(head, moved), rtol=1e-5)


def test_dex_is_the_mean_of_its_members(small_dex):
    network = models.build("dex", 3, 32)
    assert [layer.name for layer in network.layers] == ["image", *small_dex, "mean"]
    members = [network.get_layer(name) for name in small_dex]
    modes = [member.get_layer("normalize").mode for member in members]
    assert modes == ["tf", "torch", "torch"]  # each its own
    pixels = images()
    expected = np.mean([predict(member, pixels) for member in members], axis=0)
    np.testing.assert_allclose(predict(network, pixels), expected, rtol=1e-5)
    assert digest(members[1]) == digest(models.build("resnet18", 3, 32))


def test_the_members_of_dex_are_those_of_sultana():
    assert catalog.DEX == ("densenet121", "efficientnetb7", "xception")
    with pytest.raises(ValueError, match="image_size is 70; xception needs at least 71"):
        models.build("dex", 2, 70)


@pytest.mark.parametrize("name", ["vgg16-cnn", "efficientnetb0-attention", "googlenet", "dex"])
def test_a_saved_network_comes_back_in_safe_mode(name, tmp_path, small_dex):
    network = models.build(
        name, 3, 32, normalization="z-score", statistics=np.array([[200, 150, 170], [30, 40, 20]])
    )
    network.save(tmp_path / "model.keras")
    again = models.load(tmp_path / "model.keras")
    pixels = images()
    np.testing.assert_allclose(predict(again, pixels), predict(network, pixels), rtol=1e-5)


@pytest.mark.parametrize("name", ["vgg19", "mobilenetv2", "resnet18", "efficientnetb0"])
def test_pixels_are_normalized_as_the_frozen_extractor_sees_them(name):
    network = models.build(name, 2, 32)
    extractor = models.build_backbone(name, 32, None)
    pixels = images()
    expected = predict(extractor, models.prepare_input(name, pixels.astype(np.uint8)))
    found = predict(trunk(network), pixels).mean(axis=(1, 2))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def test_normalization_modes():
    from leukkit.models.normalize import Normalize

    red = np.zeros((1, 1, 1, 3), np.uint8)
    red[..., 0] = 255

    def see(*arguments):
        return np.asarray(Normalize(*arguments)(red))[0, 0, 0]

    np.testing.assert_allclose(see("caffe"), [-103.939, -116.779, 255 - 123.68], rtol=1e-5)
    np.testing.assert_allclose(see("tf"), [1, -1, -1])
    torch = (np.array([1, 0, 0]) - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(see("torch"), torch, rtol=1e-5)
    np.testing.assert_allclose(see("none"), [255, 0, 0])
    np.testing.assert_allclose(see("unit"), [1, 0, 0])
    found = see("z-score", (55, 10, 20), (100, 5, 40))
    np.testing.assert_allclose(found, [2, -2, -0.5])


def test_efficientnet_divides_a_second_time_with_unit():
    once = models.build("efficientnetb0", 2, 32, normalization="backbone")
    twice = models.build("efficientnetb0", 2, 32, normalization="unit")
    pixels = images()
    expected = predict(trunk(once), pixels / 255)
    np.testing.assert_allclose(predict(trunk(twice), pixels), expected, rtol=1e-3, atol=1e-6)


def test_the_head_computes_in_float32_under_mixed_precision():
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        network = models.build("efficientnetb0-attention", 2, 32)
    finally:
        keras.config.set_dtype_policy(before)
    assert network.get_layer("normalize").compute_dtype == "float32"
    assert str(network.get_layer("features").output.dtype) == "float16"
    probabilities = predict(network, images())
    assert probabilities.dtype == np.float32 and np.isfinite(probabilities).all()


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"unknown network 'vgg20'.*seresnet152"):
        models.build("vgg20", 2, 224)
    with pytest.raises(ValueError, match="classes is 1; vgg19 needs at least 2"):
        models.build("vgg19", 1, 224)
    with pytest.raises(ValueError, match="image_size is 74; inceptionv3 needs at least 75"):
        models.build("inceptionv3", 2, 74)
    with pytest.raises(ValueError, match=r"unknown normalization 'half'.*z-score"):
        models.build("resnet18", 2, 32, normalization="half")
    with pytest.raises(ValueError, match="give the mean and the"):
        models.build("resnet18", 2, 32, normalization="z-score")
    with pytest.raises(ValueError, match="with it alone"):
        models.build("resnet18", 2, 32, statistics=((1, 1, 1), (1, 1, 1)))
    for deviation in ((1, 0, 1), (1, 1), (1, float("nan"), 1)):
        with pytest.raises(ValueError, match="expected three of each"):
            models.build(
                "resnet18", 2, 32, normalization="z-score", statistics=((1, 1, 1), deviation)
            )
    with pytest.raises(FileNotFoundError, match=r"no weights file .*for resnet18.*safetensors"):
        models.build("resnet18", 2, 32, "missing.safetensors")
