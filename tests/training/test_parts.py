"""The parts of training against values worked by hand."""

import re
import types
import warnings

import numpy as np
import pytest

from leukkit import training
from leukkit.results import ConfigurationError
from leukkit.training import batches, fit, network
from leukkit.training.network import compiled, cross_entropy, make_optimizer
from tests.training import tiny


def recipe(**settings):
    defaults = {"network": "tiny", "image_size": 32, "phases": [*tiny.PHASES]}
    return training.Recipe(**(defaults | settings))


def test_the_new_layer_learns_ten_times_as_fast_and_kernels_decay():
    import keras

    model = tiny.build("tiny", 2, 32, normalization="backbone")
    settings = recipe(optimizer="sgd", momentum=0.9, weight_decay=0.5, new_layer_factor=10)
    optimizer = make_optimizer(settings, 0.1, model)
    variables = model.trainable_variables
    optimizer.build(variables)
    before = [variable.numpy() for variable in variables]
    gradients = [keras.ops.ones_like(variable) for variable in variables]
    velocity = [np.zeros_like(values) for values in before]
    expected = [values.copy() for values in before]
    for _ in range(2):
        optimizer.apply(gradients, variables)
        for at, variable in enumerate(variables):
            rate = 1.0 if "predictions" in variable.path else 0.1
            gradient = 1 + (0.5 * expected[at] if variable.path.endswith("kernel") else 0)
            velocity[at] = 0.9 * velocity[at] - rate * gradient
            expected[at] = expected[at] + velocity[at]
    for variable, values in zip(variables, expected, strict=True):
        np.testing.assert_allclose(variable.numpy(), values, rtol=1e-5, atol=1e-6)


def test_adam_in_one_operation_is_that_of_keras():
    import keras

    values = np.random.default_rng(0).normal(size=(2, 4, 3)).astype(np.float32)
    ours, theirs = ([keras.Variable(part) for part in values] for _ in range(2))
    optimizer = make_optimizer(recipe(), 0.1, None)
    assert [type(optimizer).__name__, optimizer.epsilon] == ["FusedAdam", 1e-7]
    for one, variables in ((optimizer, ours), (keras.optimizers.Adam(0.1), theirs)):
        one.build(variables)
        for step in range(1, 6):
            one.learning_rate = 0.1 / step
            one.apply([variable**2 - step for variable in variables], variables)
    for variable, expected, first in zip(ours, theirs, values, strict=True):
        # 1 - 0.999 loses digits of float32 in both, in another order: 1e-5 of a step of 0.1.
        np.testing.assert_allclose(variable.numpy(), expected.numpy(), rtol=0, atol=1e-5)
        assert np.abs(variable.numpy() - first).max() > 0.1


def test_each_image_counts_alike_when_a_batch_does_not_divide_evenly():
    probabilities = np.array([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]], np.float32)
    truth = np.array([[1, 0], [1, 0], [1, 0]], np.float32)
    whole = -np.log(probabilities[:, 0]).mean()
    parts = [float(cross_entropy(truth[k], probabilities[k], 3)) for k in ([0, 1], [2])]
    assert sum(parts) == pytest.approx(whole, rel=1e-5)
    assert float(cross_entropy(truth, probabilities, 3)) == pytest.approx(whole, rel=1e-5)


def made(**settings):
    """Return the tiny network with its first weights, as a fold gets it."""
    with tiny.installed():
        return compiled(recipe(**settings), 2, None, 0, training.strategy())


def test_the_last_layers_are_unfrozen_but_not_their_batch_normalization():
    network = made(network="tiny-normalized")
    network.begin_phase(2, 1e-3)
    learning = {layer for layer in network.whole.layers if layer.trainable and layer.weights}
    assert sorted(type(layer).__name__ for layer in learning) == ["Conv2D", "Functional"]


def test_more_layers_than_there_are_cannot_be_unfrozen():
    with pytest.raises(ValueError, match="trainable = 5, but there are 4 layers"):
        made().begin_phase(5, 1e-3)


@pytest.mark.parametrize(("weight", "loss"), [(np.nan, 0.5), (np.inf, 0.5), (1.0, np.nan)])
def test_an_epoch_whose_last_batch_spoils_the_weights_is_refused(weight, loss):
    model = types.SimpleNamespace(get_weights=lambda: [np.ones(3), np.array([weight])])
    row = {"epoch": 2, "validation_loss": loss}
    with pytest.raises(fit.LossError, match="no finite numbers after epoch 2, batch 7"):
        fit._check_finite(model, row, 7, validated=True)
    if np.isfinite(weight):  # without validation images there is no such loss
        fit._check_finite(model, row, 7, validated=False)


def test_a_batch_whose_loss_is_no_number_is_refused_and_the_others_are_reported():
    images = batches.Images(
        np.zeros((8, 4)),
        np.zeros((8, 2)),
        np.array(["a"] * 8),
        np.zeros(8, int),
        types.SimpleNamespace(train=range(8)),
    )
    losses, reported = iter([0.5, 0.4, np.nan]), []
    network = types.SimpleNamespace(step=lambda *_: (next(losses), 1))
    with pytest.raises(fit.LossError, match="the loss is nan in epoch 2, batch 3"):
        fit._train_epoch(network, images, recipe(batch_size=2), 4, 0, 1, reported.append)
    assert reported == [1, 1]


def write_checkpoint(folder):
    network = types.SimpleNamespace(
        model=types.SimpleNamespace(get_weights=lambda: [np.ones(3)]),
        optimizer=types.SimpleNamespace(variables=[]),
    )
    history = [{"epoch": 1, "validation_loss": np.nan}]
    fit.write_checkpoint(folder, "one", "threads: 2", history, network, None)
    return folder / fit.CHECKPOINT


@pytest.mark.parametrize("belongs", [("another", "threads: 2"), ("one", "threads: 1")])
def test_a_checkpoint_of_another_configuration_or_arithmetic_is_kept_and_named(tmp_path, belongs):
    write_checkpoint(tmp_path)
    message = (
        rf"npz is an unfinished fold of another.*threads: 2 \(here: {belongs[1]}.*--results-dir"
    )
    with pytest.raises(ConfigurationError, match=message):
        fit.read_checkpoint(tmp_path, *belongs)
    found, (weights,), *others = fit.read_checkpoint(tmp_path, "one", "threads: 2")
    assert found[0]["epoch"] == 1 and weights.tolist() == [1, 1, 1] and others == [[], []]


def test_a_damaged_checkpoint_is_named_and_the_fold_begun_again(tmp_path):
    path = write_checkpoint(tmp_path)
    whole, random = path.read_bytes(), np.random.RandomState(0)
    changed = [whole[:length] for length in range(0, len(whole), 40)]
    for _ in range(400):
        bits = bytearray(whole)
        bits[random.randint(len(bits))] ^= 1 << random.randint(8)
        changed.append(bytes(bits))
    expected = fit.read_checkpoint(tmp_path, "one", "threads: 2")
    told = 0
    for content in changed:
        path.write_bytes(content)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            found = fit.read_checkpoint(tmp_path, "one", "threads: 2")
        if found is None:
            assert re.search(r"checkpoint\.npz is damaged .*begun again", str(said[0].message))
        else:  # a bit that nobody reads
            np.testing.assert_equal(found, expected)
        told += found is None
    assert told > 300


@pytest.mark.parametrize(
    ("losses", "best"), [([0.5, 0.3, 0.4, 0.3], 2), ([np.nan] * 2, 0), ([], 0)]
)
def test_the_best_epoch_is_the_first_with_the_lowest_validation_loss(losses, best):
    assert fit.best_epoch([{"validation_loss": loss} for loss in losses]) == best


def test_batch_normalization_can_be_synchronized_and_follow_faster():
    import keras

    from leukkit.training import network

    for settings, expected in (
        ({}, (False, 0.99)),
        ({"synchronized": True, "batch_norm_momentum": 0.9}, (True, 0.9)),
    ):
        with tiny.installed():
            model = network.build(recipe(network="tiny-normalized", **settings), 2, None, 0)
        kinds = keras.layers.BatchNormalization
        (layer,) = [layer for layer in model.layers if isinstance(layer, kinds)]
        assert (layer.synchronized, layer.momentum) == expected


def test_one_network_serves_folds_with_other_statistics_and_seeds():
    settings = {"network": "mobilenet-0.25", "normalization": "z-score", "batch_size": 2}
    one, pixels = recipe(**settings), np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3))
    pixels, strategy = pixels.astype(np.float32), training.strategy()
    used = None
    for seed, statistics in ((0, ((90.0,) * 3, (40.0,) * 3)), (1, ((150.0,) * 3, (70.0, 60, 50)))):
        network = compiled(one, 2, statistics, seed, strategy)
        found, used = network.predict(pixels), used or network
        expected = one.build(2, statistics, seed)(pixels, training=False)
        np.testing.assert_allclose(found, expected, atol=1e-6)
        network.begin_phase("all", 1e-2)
        network.step(pixels, np.eye(2, dtype=np.float32))
        assert network is used


def test_a_batch_smaller_than_the_devices_is_refused():
    two = types.SimpleNamespace(num_replicas_in_sync=2)
    with pytest.raises(ValueError, match="a batch of 1 cannot be divided over 2 devices"):
        compiled(recipe(batch_size=1), 2, None, 0, two)


def test_training_refuses_another_backend_and_a_precision_that_no_recipe_says(monkeypatch):
    import keras

    with tiny.installed():
        keras.config.set_dtype_policy("mixed_float16")
        try:
            with pytest.raises(ValueError, match=r"dtype_policy.*recipe.replace\(mixed_precision"):
                network.build(recipe(), 2, None, 0)
        finally:
            keras.config.set_dtype_policy("float32")
        monkeypatch.setattr(keras.config, "backend", lambda: "torch")
        with pytest.raises(ValueError, match=r"backend = 'torch'.*set KERAS_BACKEND=tensorflow"):
            network.build(recipe(), 2, None, 0)


def test_a_checkpoint_of_an_older_version_is_kept_and_named(tmp_path, monkeypatch):
    monkeypatch.setattr(fit, "FOLD_FORMAT", 4)
    path = write_checkpoint(tmp_path)
    monkeypatch.undo()
    with pytest.raises(ConfigurationError, match=r"an older version .*It is kept"):
        fit.read_checkpoint(tmp_path, "one", "threads: 2")
    assert path.exists()
