"""Networks with a share of their channels, and the kit's own weights for them."""

import types

import numpy as np
import pytest
from keras import layers, ops

from leukkit import features, models, report, schemas
from leukkit.models import weights
from tests.models.building import digest, images, predict, trunk
from tests.training import tiny
from tools import synthetic_weights

TINY = ["vgg16", "--subjects", "8", "--side", "32", "--epochs", "1"]


def parts(network):
    named = weights._stable_names(network.layers)
    return [(type(layer).__name__, name) for layer, name in named]


# Parameters in thousands: whole, as published without the top, and with an eighth of the channels,
# which is about a 64th of them; small numbers are rounded up to one channel.
@pytest.mark.parametrize(
    ("name", "head", "whole", "narrow"),
    [
        ("vgg16", "convolutions", 14_715, 230),
        ("densenet121", "pooled", 7_038, 129),
        ("efficientnetb0", "attention", 4_050, 95),
        ("resnet18", "pooled", 11_186, 178),
        ("shufflenet", "pooled", 929, 21.9),
    ],
)
def test_a_narrow_network_has_the_same_layers_with_fewer_channels(name, head, whole, narrow):
    size = models.BACKBONES[name].smallest_image
    full = models.build(name, 3, size, head=head)
    small = models.build(name, 3, size, head=head, width=1 / 8)
    assert small.name == full.name
    assert parts(small) == parts(full)
    assert parts(small.get_layer("head")) == parts(full.get_layer("head"))
    sizes = [trunk(network).count_params() / 1000 for network in (full, small)]
    assert sizes == pytest.approx([whole, narrow], rel=0.05)
    seen = predict(trunk(small), images(size=size))
    assert seen.shape[-1] == models.feature_count(name, 1 / 8)
    probabilities = predict(small, images(size=size))
    assert probabilities.shape == (2, 3) and np.isfinite(probabilities).all()


def test_a_feature_count_is_that_of_the_built_network():
    for name, width in (("googlenet", 0.3), ("mobilenet-0.25", 1 / 16)):
        network = models.build_backbone(name, 32, None, width=width)
        assert network.output_shape[-1] == models.feature_count(name, width)
    for name, backbone in models.BACKBONES.items():
        assert models.feature_count(name) == backbone.features


def test_every_head_has_a_share_of_its_units_and_all_classes():
    head = models.build("vgg16", 2, 32, head="vgg_dense", width=1 / 8).get_layer("head")
    assert [head.get_layer(name).units for name in ("fc1", "fc2", "predictions")] == [512, 512, 2]
    head = models.build("vgg16", 2, 64, head="attention", width=1 / 8).get_layer("head")
    assert head.get_layer("positions").output.shape[1:] == (4, 64)
    assert [head.get_layer(f"dense{number}").units for number in (1, 2)] == [16, 32]

    def own_head(features):
        values = layers.Conv2D(16, 1, activation="relu", name="own")(features)
        return layers.Dense(24, name="last")(ops.mean(values, axis=(1, 2)))

    head = models.build("vgg16", 2, 32, head=own_head, width=1 / 8).get_layer("head")
    assert head.get_layer("own").filters == 2 and head.get_layer("last").units == 3


def test_precision_outlives_the_narrowing(mixed_precision):
    network = models.build("mobilenetv2", 2, 32, width=1 / 8)
    head = network.get_layer("head")
    assert network.get_layer("Conv1").dtype_policy.name == "mixed_float16"
    assert network.get_layer("normalize").compute_dtype == "float32"
    assert head.get_layer("predictions").compute_dtype == "float32"


@pytest.mark.parametrize("width", [0, -0.5, 1.5])
def test_a_width_that_is_no_share_is_refused(width):
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        models.build("vgg16", 2, 32, width=width)
    with pytest.raises(schemas.SchemaError, match="width"):
        recipe(width=width)


def test_a_width_at_which_layers_do_not_fit_together():
    with pytest.raises(ValueError, match=r"shufflenet cannot be built with width 0.07 .*eighths"):
        models.build("shufflenet", 2, 32, width=0.07)


def test_weights_of_a_whole_network_do_not_go_with_a_width(tmp_path):
    path = tmp_path / "whole.weights.h5"
    models.build_backbone("vgg16", 32, None).save_weights(path)
    for given in (path, "imagenet"):
        with pytest.raises(models.WeightsError, match=r"\(width 1\), and width is 0.125"):
            models.build_backbone("vgg16", 32, given, width=1 / 8)
        with pytest.raises(models.WeightsError, match=r"\(width 1\), and width is 0.125"):
            models.weights_id("vgg16", given, width=1 / 8)


def recipe(**fields):
    known = {"network": "vgg16", "image_size": 32, "phases": [{"epochs": 1, "learning_rate": 0.1}]}
    return schemas.check(schemas.Recipe, known | fields)


def test_a_recipe_says_and_builds_its_width():
    assert "width" not in recipe().table().index
    narrow = recipe(width=0.125)
    assert narrow.table()["value"]["width"] == "0.125"
    assert narrow.build(2).get_layer("features").output.shape[-1] == 64
    run = types.SimpleNamespace(recipe=narrow, name="vgg16", keys={})
    profile = types.SimpleNamespace(datasets={})
    card = types.SimpleNamespace(profile=lambda _: profile, plan=lambda _: [run])
    used = report.substitutions(card, "sample").loc["vgg16", "used here"]
    assert used.startswith("vgg16, 1/8 of the channels of each layer, 32 px, random weights")


def test_ids_and_features_depend_on_the_width(tmp_path):
    cells = tiny.cells(5)
    one = models.weights_id("vgg16", None)
    assert one == models.weights_id("vgg16", None, width=1.0)
    assert one != models.weights_id("vgg16", None, width=1 / 8)
    for width in (1 / 8, 1 / 4):  # the rows of both in one cache
        found = features.extract(cells, "vgg16", 32, None, tmp_path, width=width)
        assert found.shape == (10, 512 * width) and (found.std(axis=0) > 0).any()
        first, again = (models.build_backbone("vgg16", 32, None, width=width) for _ in range(2))
        assert digest(first) == digest(again)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    synthetic_weights.main([*TINY, "--out", str(folder)])
    return folder


def test_synthetic_weights_are_made_and_read_again(made, monkeypatch, tmp_path):
    monkeypatch.setattr(weights, "SYNTHETIC", made)
    network = models.build("vgg16", 2, 64, "synthetic", width=1 / 8)
    extractor = models.build_backbone("vgg16", 64, "synthetic", seed=5, width=1 / 8)
    assert digest(trunk(network)) == digest(extractor)
    assert digest(extractor) != digest(models.build_backbone("vgg16", 64, None, width=1 / 8))
    again = tmp_path / "vgg16.safetensors"
    synthetic_weights.save(trunk(network), 1 / 8, again)
    assert again.read_bytes() == (made / "vgg16.safetensors").read_bytes()
    assert models.weights_id("vgg16", "synthetic", width=1 / 8) == weights.sha256(again)
    assert models.weights_used("vgg16", "synthetic", 64) == (
        "the kit's own, trained on synthetic cells"
    )


def test_synthetic_weights_of_another_width_or_network(made, monkeypatch):
    monkeypatch.setattr(weights, "SYNTHETIC", made)
    for width in (1.0, 1 / 4):
        with pytest.raises(models.WeightsError, match=r"of vgg16 are for width 0.125, and width"):
            models.build("vgg16", 2, 32, "synthetic", width=width)
    with pytest.raises(models.WeightsError, match=r"googlenet has no synthetic .*networks: vgg16"):
        models.build("googlenet", 2, 32, "synthetic", width=1 / 8)


def test_a_damaged_synthetic_file_changes_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(weights, "SYNTHETIC", tmp_path)
    network = models.build_backbone("vgg16", 32, None, width=1 / 4)
    synthetic_weights.save(network, 1 / 8, tmp_path / "vgg16.safetensors")  # not what it says
    network = models.build_backbone("vgg16", 32, None, width=1 / 8)
    before = digest(network)
    with pytest.raises(models.WeightsError, match=r"block1_conv1/\w+ has the shape"):
        weights.set_weights(network, tmp_path / "vgg16.safetensors", 0)
    assert digest(network) == before


def test_a_network_with_names_that_keras_counts_up_is_read_again(monkeypatch, tmp_path):
    monkeypatch.setattr(weights, "SYNTHETIC", tmp_path)
    for name in ("xception", "efficientnetb0"):  # separable, with its own normalization inside
        size = models.BACKBONES[name].smallest_image
        first = models.build_backbone(name, size, None, seed=1, width=1 / 8)
        synthetic_weights.save(first, 1 / 8, tmp_path / f"{name}.safetensors")
        second = models.build_backbone(name, size, "synthetic", width=1 / 8)
        for before, after in zip(first.weights, second.weights, strict=True):
            np.testing.assert_array_equal(np.float32(np.float16(before)), after)


def test_no_subject_of_a_built_in_sample_is_trained_on():
    record = {"label": "ALL", "streams": (1, 1, 1)}
    trained_on, shown = (
        synthetic_weights.sample.draw("sample-cells", record, seed)[0]
        for seed in (synthetic_weights.SEED, synthetic_weights.sample.SEED)
    )
    assert trained_on.shape != shown.shape or (trained_on != shown).any()
    pixels, labels, held_out = synthetic_weights.draw(subjects=8, side=16)
    assert pixels.shape == (3 * 8 * 4, 16, 16, 3)
    assert set(labels) == set(labels[held_out]) == set(range(8))
