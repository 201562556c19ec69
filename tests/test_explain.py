import keras
import numpy as np
import pytest
from keras import layers

from leukkit import explain, metrics, papers, results, runs
from tests.predicted import binary

SIZE = 8


def small_network(name="small", channels=2, classes=2, hidden=False, dtype=None, large=False):
    """Build a network of the kit's form, with 4 x 4 places on the feature map; large ones 8 x 8."""
    side, patch, activation = (32, 4, "relu") if large else (SIZE, 2, None)
    image = keras.Input((side, side, 3))
    conv = layers.Conv2D(channels, patch, patch, activation=activation, name="conv", dtype=dtype)
    features = conv(layers.Rescaling(1 / 255)(image) if large else image)
    features = layers.Identity(name="features", dtype=dtype)(features)
    feature_map = keras.Input(features.shape[1:])
    pooled = layers.GlobalAveragePooling2D(dtype=dtype)(feature_map)
    if hidden:
        pooled = layers.Dense(5, activation="relu")(pooled)
    last = layers.Dense(classes, activation="softmax", dtype="float32", name="predictions")
    head = keras.Model(feature_map, last(pooled), name="head")
    return keras.Model(image, head(features), name=name)


def known_network(kernel, name="small"):
    """Build one whose two channels are the means of red and green, under the head ``kernel``."""
    network = small_network(name)
    means = np.tile(np.eye(3, 2) / 4, (2, 2, 1, 1))
    network.get_layer("conv").set_weights([means, np.zeros(2)])
    last = network.get_layer("head").get_layer("predictions")
    last.set_weights([np.array(kernel), np.zeros(2)])
    return network


def image_of(red, green):
    """Return an image (8, 8, 3) of two colors (4, 4), a value for each place of the feature map."""
    return np.kron(np.stack([red, green, np.zeros((4, 4))], axis=-1), np.ones((2, 2, 1)))


def enlarged(values):
    """Enlarge (4, 4) to (8, 8): linear between the centers, constant beyond the outer ones."""
    places = np.clip((np.arange(SIZE) + 0.5) / 2 - 0.5, 0, 3)
    low = np.minimum(places.astype(int), 2)
    weight = np.zeros((SIZE, 4))
    weight[np.arange(SIZE), low] = 1 - (places - low)
    weight[np.arange(SIZE), low + 1] += places - low
    return weight @ values @ weight.T


def test_without_classes_the_predicted_one_is_explained():
    network = known_network([[0.1, -0.1], [-0.1, 0.1]])
    bright, dark = np.full((4, 4), 200), np.zeros((4, 4))
    bright[0, 0] = 250
    images = np.stack([image_of(bright, dark), image_of(dark, bright)]).astype(np.uint8)
    found = explain.grad_cam(network, images)
    np.testing.assert_array_equal(found, explain.grad_cam(network, images, [0, 1]))
    assert found.max(axis=(1, 2)) == pytest.approx([1, 1])
    # For the class that all of the image speaks against, nothing is left.
    assert not explain.grad_cam(network, images, [1, 0]).any()


def test_the_channels_are_weighted_by_the_gradient_known_from_finite_differences():
    keras.utils.set_random_seed(3)
    network = small_network(channels=3, classes=4, hidden=True)
    image = np.random.default_rng(2).uniform(0, 2, (1, SIZE, SIZE, 3))
    to_features = keras.Model(network.input, network.get_layer("features").output)
    features = keras.ops.convert_to_numpy(to_features(image)).astype(float)
    head = network.get_layer("head")
    for code in range(4):

        def score(values, code=code):
            hidden, last = (layer.get_weights() for layer in head.layers if layer.weights)
            pooled = np.maximum(values.mean(axis=(1, 2)) @ hidden[0] + hidden[1], 0)
            return (pooled @ last[0] + last[1])[0, code]

        weights = np.zeros(3)
        for channel in range(3):
            step = np.zeros_like(features)
            step[..., channel] = 1e-5
            # the same at all 16 places: the sum of their gradients, so 16 times the mean
            weights[channel] = (score(features + step) - score(features - step)) / 2e-5 / 16
        expected = enlarged(np.maximum(features[0] @ weights, 0))
        expected /= expected.max() or 1
        found = explain.grad_cam(network, image, [code])
        assert (found.dtype, found.shape) == (np.float32, (1, SIZE, SIZE))
        np.testing.assert_allclose(found[0], expected, atol=1e-4)


def test_an_ensemble_gets_the_mean_of_its_members_maps():
    one = known_network([[0.01, 0.0], [0.0, 0.0]], "one")
    other = known_network([[0.0, 0.0], [0.5, 0.0]], "other")
    image = keras.Input((SIZE, SIZE, 3))
    ensemble = keras.Model(image, layers.Average()([one(image), other(image)]), name="dex")
    red, green = np.zeros((2, 4, 4))
    red[0, 0] = green[3, 3] = 10
    images = np.stack([image_of(red, green), image_of(red, 0 * green)])
    found = explain.grad_cam(ensemble, images, [0, 0])
    # Both members count alike, though the second one's weights are fifty times larger.
    assert found[0, 0, 0] == found[0, -1, -1] == 1
    assert (found[1, 0, 0], found[1, -1, -1]) == (1, 0)
    # What the ensemble predicts is explained, not what each member does.
    np.testing.assert_array_equal(explain.grad_cam(ensemble, images), found)


def test_maps_do_not_depend_on_the_other_images_of_a_batch():
    keras.utils.set_random_seed(0)
    network = small_network(hidden=True)
    images = np.random.default_rng(5).integers(0, 256, (19, SIZE, SIZE, 3), dtype=np.uint8)
    together = explain.grad_cam(network, images, np.arange(19) % 2)
    alone = [explain.grad_cam(network, images[[k]], [k % 2])[0] for k in range(19)]
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert explain.grad_cam(network, images[:0]).shape == (0, SIZE, SIZE)


def test_half_precision_changes_nothing_to_see():
    keras.utils.set_random_seed(0)
    network, half = small_network(), small_network(dtype="mixed_float16")
    half.set_weights(network.get_weights())
    images = np.random.default_rng(5).integers(0, 256, (2, SIZE, SIZE, 3), dtype=np.uint8)
    found = explain.grad_cam(network, images, [0, 1])
    np.testing.assert_allclose(explain.grad_cam(half, images, [0, 1]), found, atol=0.02)


IMAGES = np.zeros((2, SIZE, SIZE, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("images", "classes", "message"),
    [
        (np.zeros((2, 9, 8, 3)), None, r"shape \(2, 9, 8, 3\).*takes \(n, \*\(8, 8, 3\)\)"),
        (IMAGES[0], None, r"pass a single image as image\[None\]"),
        (IMAGES, [0], "classes must be 2 ints"),
        (IMAGES, ["ALL", "healthy"], "classes must be 2 ints"),
        (IMAGES, [-1, 1], "go from -1 to 1, but this network has 2: 0 to 1"),
    ],
)
def test_images_and_classes_that_do_not_fit_are_refused(images, classes, message):
    with pytest.raises(ValueError, match=message):
        explain.grad_cam(small_network(), images, classes)


def test_networks_of_another_form_or_without_numbers_are_refused():
    other = keras.Sequential([keras.Input((SIZE, SIZE, 3)), layers.Flatten(), layers.Dense(2)])
    with pytest.raises(ValueError, match="no layers 'features' and 'head'"):
        explain.grad_cam(other, IMAGES)
    network = small_network()
    network.set_weights([np.full_like(weight, np.nan) for weight in network.get_weights()])
    with pytest.raises(ValueError, match="Grad-CAM of this network is not finite"):
        explain.grad_cam(network, IMAGES)


def test_another_backend_is_refused(monkeypatch):
    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    with pytest.raises(ValueError, match=r"backend = 'jax'.*set KERAS_BACKEND=tensorflow"):
        explain.grad_cam(small_network(), np.zeros((1, SIZE, SIZE, 3)))


def test_examples_are_the_surest_right_and_wrong_cells_of_each_class():
    chances = [0.4, 0.1, 0.8, 0.9, 0.75, 0.75, 0.6]
    frame = binary([0, 0, 0, 0, 1, 1, 1], chances).assign(image_id=list("abcdefg"))
    found = explain.examples(frame, ("healthy", "ALL"))
    assert found["image_id"].tolist() == ["b", "d", "e"]  # no wrong cell of ALL; e before f
    assert found["predicted"].tolist() == ["healthy", "ALL", "ALL"]
    assert found["confidence"].tolist() == pytest.approx([0.9, 0.9, 0.75])
    more = explain.examples(frame[::-1], ["ALL", "healthy"], per_kind=2)
    assert more["image_id"].tolist() == ["e", "f", "b", "a", "d", "c"]
    with pytest.raises(ValueError, match=r"unknown classes \['hem'\].*healthy, ALL"):
        explain.examples(frame, ["hem"])


def test_cells_of_a_finished_fold_are_explained_and_named(tmp_path):
    run = papers.load("mishra").plan("sample", "published")[0]
    split, classes = runs.split_of(run), ["benign", "early", "pre", "pro"]
    place = results.place(split, run.recipe, run.name, run.seed, planned=run, base=tmp_path)
    tested = split.cells.iloc[split.folds[0].test]
    chances = np.tile([0.1, 0.1, 0.7, 0.1], (len(tested), 1))  # every cell is taken for "pre"
    predicted = {"predictions": metrics.prediction_frame(tested, chances, classes)}
    results.write_fold(place.fold(0), place.folds[0], split, 0, predicted, seconds=1)
    keras.utils.set_random_seed(0)
    network = small_network(classes=4)
    images, maps, titles = explain.explain_fold(place.fold(0), split.cells, network=network)
    titles, fails = zip(*(title.split("\nmap fails:\n") for title in titles), strict=True)
    wrong = [f"{name}, taken for\npre, 70%" for name in classes]
    assert [*titles] == [*wrong[:2], "pre, right\n70%", wrong[3]]
    assert list(fails) == list(explain.checks(network, images, maps)["fails"])  # random weights
    assert images.shape == (4, SIZE, SIZE, 3) and images.dtype == np.uint8
    np.testing.assert_array_equal(maps, explain.grad_cam(network, images))
    with pytest.raises(FileNotFoundError, match="no saved network: its number is none of models_k"):
        explain.explain_fold(place.fold(0), split.cells)


def some_planted(number, seed=0):
    """Return images (32, 32, 3) of gray noise with a red patch somewhere in each."""
    generator, images = np.random.default_rng(seed), []
    for _ in range(number):
        image = generator.integers(60, 140, (32, 32, 1)).repeat(3, axis=2).astype(np.uint8)
        row, column = generator.integers(0, 25, 2)
        image[row : row + 8, column : column + 8] = [230, 40, 40]
        images.append(image)
    return np.stack(images)


def patch_network(seed=None):
    """Build a network of 16 channels: by hand one that knows red patches, or of random weights."""
    keras.utils.set_random_seed(seed or 0)
    network = small_network(channels=16, large=True)
    if seed is not None:
        return network
    # One channel is 0 on gray, and red less green above a threshold; 15 others see brightness.
    kernel = np.full((4, 4, 3, 16), 1 / 48)
    kernel[..., 0] = np.array([1, -1, 0]) / 16
    network.get_layer("conv").set_weights([kernel, np.r_[-0.2, np.zeros(15)]])
    weights = np.zeros((16, 2))
    weights[0] = [-100, 100]
    network.get_layer("head").get_layer("predictions").set_weights([weights, np.array([1, -1])])
    return network


def test_a_network_that_knows_a_planted_patch_passes(monkeypatch):
    images, network = some_planted(10), patch_network()
    maps, told, asked = explain.grad_cam(network, images), network.predict_on_batch, []
    monkeypatch.setattr(network, "predict_on_batch", lambda some: asked.extend(some) or told(some))
    found = explain.checks(network, images, maps)
    assert f"{len(asked) // len(images)} answers of" in explain.checks.__doc__
    assert found["passes"].all() and found["fails"].isna().all(), found
    assert (found["deletion"] < found["random"] - 0.2).all()
    assert (found["better_than_random"] == 1).all()
    # The same network under a map that looks elsewhere, or nowhere, fails.
    for wrong, why in ((1 - maps, explain.RANDOM), (0 * maps, explain.FLAT)):
        assert (explain.checks(network, images, wrong)["fails"] == why).all()


def test_weights_are_put_back_where_the_checks_are_interrupted(monkeypatch):
    network, images = patch_network(), some_planted(1)
    before, maps = network.predict_on_batch(images), explain.grad_cam(network, images)

    def interrupt(*_):
        assert not np.allclose(network.predict_on_batch(images), before)
        raise KeyboardInterrupt

    monkeypatch.setattr(explain, "_rank_correlation", interrupt)
    with pytest.raises(KeyboardInterrupt) as kept:
        explain.checks(network, images, maps)
    assert kept.traceback  # and with it every frame that was left
    np.testing.assert_array_equal(network.predict_on_batch(images), before)


def test_networks_of_random_weights_fail():
    passed = []
    for seed in range(12):
        network, images = patch_network(seed), some_planted(4, seed)
        maps = explain.grad_cam(network, images)
        passed.append(explain.checks(network, images, maps, seed=seed)["passes"].mean())
    assert np.mean(passed) <= 0.05, passed


def test_a_map_that_any_head_gives_fails_though_deletion_is_better_than_random():
    network = patch_network()
    conv, last = network.get_layer("conv"), network.get_layer("head").get_layer("predictions")
    # All channels see the patch alone and no weight is negative: shuffled ones see it, too.
    kernel = np.tile(np.array([1, -1, 0])[:, None] / 16, (4, 4, 1, 16))
    conv.set_weights([kernel, np.full(16, -0.2)])
    last.set_weights([np.full((16, 2), [0.0, 12.0]), np.array([1.0, -1.0])])
    images = some_planted(4, 1)
    found = explain.checks(network, images, explain.grad_cam(network, images))
    assert (found["better_than_random"] == 1).all()
    assert (found["correlation"] > explain.CORRELATION).all(), found["correlation"]
    assert (found["fails"] == explain.SHUFFLED).all()


def test_heat_in_the_nucleus_stands_beside_its_share_of_the_area():
    image = np.full((32, 32, 3), [220, 210, 220], dtype=np.uint8)
    image[:16] = [215, 190, 205]
    image[8:16, 8:24] = [120, 40, 140]  # an eighth of the image
    one_map = np.zeros((32, 32), np.float32)
    one_map[8:16, 8:16] = 1  # half of the nucleus
    one_map[24:, :8] = 1  # as much beside it
    blank = np.full_like(image, 90)
    network = patch_network(0)
    found = explain.checks(network, np.stack([image, blank]), np.stack([one_map, one_map]))
    numbers = found[["heat_in_nucleus", "nucleus_area", "nucleus_ratio"]]
    np.testing.assert_allclose(numbers, [[0.5, 0.125, 4], [np.nan] * 3])


def test_checks_refuse_maps_of_another_shape():
    with pytest.raises(ValueError, match=r"maps have shape \(2, 4, 4\), but the images \(2, 8, 8"):
        explain.checks(small_network(), IMAGES, np.zeros((2, 4, 4)))
