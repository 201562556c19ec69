"""The networks that are trained: their parts, sizes, normalization and errors."""

import numpy as np
import pytest

from leukkit import explain, models
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
CONVOLUTIONS = {"vgg19": 20_024_384, "vgg16": 14_714_688}
HEADS = {"vgg19": "vgg_dense", "vgg16": "convolutions", "efficientnetb0": "attention"}


@pytest.mark.parametrize("name", models.BACKBONES)
def test_every_network_has_the_same_parts_and_can_be_explained(name):
    import keras

    size = models.BACKBONES[name].smallest_image
    network = models.build(name, 3, size, head=HEADS.get(name))
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
    assert network.get_layer("features").output.shape[-1] == models.BACKBONES[name].features

    pixels = images(size=size)
    probabilities = predict(network, pixels)
    assert probabilities.shape == (2, 3) and probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    seen = predict(trunk(network), pixels)
    assert np.isfinite(seen).all()
    assert (seen.mean(axis=(1, 2)).std(axis=0) > 0).mean() > 0.5  # random weights, but not blind
    np.testing.assert_allclose(predict(head, seen), probabilities, rtol=1e-3, atol=1e-6)

    maps = explain.grad_cam(network, pixels, classes=[0, 2])
    assert maps.shape == (2, size, size)
    assert np.isfinite(maps).all() and maps.min() >= 0 and maps.max() <= 1

    below = network.count_params() - head.count_params()
    if name in PUBLISHED:
        assert below + 1000 * (models.BACKBONES[name].features + 1) == PUBLISHED[name]
    if name in CONVOLUTIONS:
        assert below == CONVOLUTIONS[name]


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


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("vgg16", "convolutions"),
        ("efficientnetb0", "attention"),
        ("googlenet", None),
        ("dex", None),
    ],
)
def test_a_saved_network_comes_back_in_safe_mode(name, head, tmp_path, small_dex):
    statistics = np.array([[200, 150, 170], [30, 40, 20]])
    network = models.build(name, 3, 32, head=head, normalization="z-score", statistics=statistics)
    assert models.can_be_saved(network)
    network.save(tmp_path / "model.keras")
    again = models.load(tmp_path / "model.keras")
    np.testing.assert_allclose(predict(again, images()), predict(network, images()), rtol=1e-5)


@pytest.mark.parametrize("name", ["vgg19", "mobilenetv2", "resnet18", "efficientnetb0"])
def test_pixels_are_normalized_as_the_frozen_extractor_sees_them(name):
    network = models.build(name, 2, 32)
    extractor = models.build_backbone(name, 32, None)
    pixels = images()
    expected = predict(extractor, models.prepare_input(name, pixels))
    assert extractor.output_shape == (None, models.BACKBONES[name].features)
    found = predict(trunk(network), pixels).mean(axis=(1, 2))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (["caffe"], [-103.939, -116.779, 255 - 123.68]),
        (["tf"], [1, -1, -1]),
        (["torch"], [(1 - 0.485) / 0.229, -0.456 / 0.224, -0.406 / 0.225]),
        (["none"], [255, 0, 0]),
        (["unit"], [1, 0, 0]),
        (["z-score", (55, 10, 20), (100, 5, 40)], [2, -2, -0.5]),
    ],
)
def test_red_is_normalized(mode, expected):
    from leukkit.models.normalize import Normalize

    found = np.asarray(Normalize(*mode)(np.array([[[[255, 0, 0]]]], np.uint8)))
    np.testing.assert_allclose(found[0, 0, 0], expected, rtol=1e-5)


def test_efficientnet_divides_a_second_time_with_unit():
    once = models.build("efficientnetb0", 2, 32, normalization="backbone")
    twice = models.build("efficientnetb0", 2, 32, normalization="unit")
    expected = predict(trunk(once), images() / 255)
    np.testing.assert_allclose(predict(trunk(twice), images()), expected, rtol=1e-3, atol=1e-6)


def test_the_head_computes_in_float32_under_mixed_precision(mixed_precision):
    network = models.build("efficientnetb0", 2, 32, head="attention")
    assert network.get_layer("normalize").compute_dtype == "float32"
    assert str(network.get_layer("features").output.dtype) == "float16"
    probabilities = predict(network, images())
    assert probabilities.dtype == np.float32 and np.isfinite(probabilities).all()


@pytest.mark.parametrize(
    ("name", "value"),
    [("image_data_format", "channels_first"), ("floatx", "float64"), ("epsilon", 0.001)],
)
def test_settings_of_keras_that_change_the_numbers_are_refused(name, value, tmp_path):
    import keras

    path = tmp_path / "model.keras"
    models.build("mobilenet-0.25", 2, 32).save(path)
    before = getattr(keras.config, name)()
    change = getattr(keras.config, f"set_{name}")
    change(value)
    try:
        for make in (
            lambda: models.build("mobilenet-0.25", 2, 32),
            lambda: models.build_backbone("mobilenet-0.25", 32, weights=None),
            lambda: models.load(path),
        ):
            with pytest.raises(
                ValueError, match=rf"{name} = '?{value}.*call keras.config.set_{name}"
            ):
                make()
    finally:
        change(before)


def test_features_are_not_extracted_in_float16_unseen(mixed_precision):
    with pytest.raises(ValueError, match=r"dtype_policy = 'mixed_float16'.*mixed_precision=Tr"):
        models.build_backbone("mobilenet-0.25", 32, weights=None)


def test_no_code_of_a_file_runs_where_keras_is_told_that_it_may(tmp_path):
    import keras
    from keras.src.saving.serialization_lib import SafeModeScope

    path, run = tmp_path / "model.keras", []
    layer = keras.layers.Lambda(lambda pixels: (run.append(1), pixels)[1])
    network = keras.Sequential([keras.Input((32, 32, 3)), layer])
    network.save(path)
    run.clear()
    with SafeModeScope(False):  # what keras.config.enable_unsafe_deserialization() sets
        with pytest.raises(ValueError, match="unsafe"):
            models.load(path)
        assert not models.can_be_saved(network)
    assert run == []


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"network": "vgg16-cnn"}, r"unknown network 'vgg16-cnn'.*seresnet152.*dex.*with head"),
        ({"classes": 1}, "classes is 1; resnet18 needs at least 2"),
        ({"network": "inceptionv3", "image_size": 74}, "74; inceptionv3 needs at least 75"),
        ({"network": "dex", "image_size": 70}, "image_size is 70; xception needs at least 71"),
        ({"head": "vgg19"}, r"unknown head 'vgg19'.*vgg_dense.*or give a function"),
        ({"normalization": "half"}, r"unknown normalization 'half'.*z-score"),
        ({"normalization": "z-score"}, "go with 'z-score', and with it alone"),
        ({"statistics": ((1, 1, 1), (1, 1, 1))}, "go with 'z-score', and with it alone"),
        *(
            ({"normalization": "z-score", "statistics": ((1, 1, 1), deviation)}, "three of each")
            for deviation in ((1, 0, 1), (1, 1), (1, float("nan"), 1))
        ),
    ],
)
def test_arguments_that_cannot_be_meant(arguments, match):
    with pytest.raises(ValueError, match=match):
        models.build(**({"network": "resnet18", "classes": 2, "image_size": 32} | arguments))


def test_the_layer_that_normalizes_names_what_it_knows():
    from leukkit.models.normalize import Normalize

    with pytest.raises(ValueError, match="unknown normalization 'half'; choose one of"):
        Normalize("half")
