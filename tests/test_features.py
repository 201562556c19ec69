"""Feature extraction: what is computed, and what the cache may and may not give back."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from leukkit import augmentation, features, images, models
from leukkit.images import Preparation, prepare
from tests.training import tiny

SMALL = {"backbone": "mobilenet-0.25", "image_size": 32, "weights": None}
FARAG = {"angles": [0, 45], "mirror": True, "scale": 0.2, "light": [0.2, 1.0]}


@pytest.fixture
def cells():
    return tiny.cells(5)


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr(features, "BATCH", 4)


@pytest.fixture
def computed(monkeypatch):
    """The number of images that go through a network, one entry for each batch."""
    counts = []
    rows = features._rows

    def counting(*arguments):
        for made in rows(*arguments):
            counts.append(len(made))
            yield made

    monkeypatch.setattr(features, "_rows", counting)
    return counts


def extract(cells, cache, **settings):
    return features.extract(cells, cache_dir=cache, **{**SMALL, **settings})


def shards(cache):
    return sorted(cache.rglob("*.npy"))


def no_network(*arguments):
    raise AssertionError("the network was built")


@pytest.mark.parametrize("normalization", features.NORMALIZATIONS)
def test_features_are_those_of_the_network(cells, cache, normalization):
    found = extract(cells, cache, normalization=normalization)
    network = models.build_backbone("mobilenet-0.25", 32, None, seed=0)
    pixels = prepare(cells, Preparation(32))
    scaled = {"unit": pixels / np.float32(255)}.get(normalization)
    if scaled is None:
        scaled = models.prepare_input("mobilenet-0.25", pixels)
    assert found.dtype == np.float32
    assert found.shape == (10, 256)
    expected = np.asarray(network(scaled, training=False))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    assert len(np.unique(found, axis=0)) == 10


def test_a_second_run_does_not_import_tensorflow(cells, cache, tmp_path):
    extract(cells, cache)
    cells.to_pickle(tmp_path / "cells.pickle")
    script = (
        "import sys, pandas\n"
        "from leukkit import features\n"
        f"cells = pandas.read_pickle({str(tmp_path / 'cells.pickle')!r})\n"
        f"features.extract(cells, cache_dir={str(cache)!r}, **{SMALL!r})\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_order_and_other_images_do_not_matter(cells, cache, tmp_path, computed):
    first = extract(cells, cache)
    order = np.random.default_rng(0).permutation(len(cells))[:7]
    computed.clear()
    assert (extract(cells.iloc[order], cache) == first[order]).all()
    assert computed == []
    apart = extract(cells.iloc[order[::-1]], tmp_path / "another cache")
    np.testing.assert_allclose(apart, first[order[::-1]], rtol=1e-4, atol=1e-6)


def test_a_moved_file_is_known_by_its_content_and_needs_no_network(
    cells, cache, tmp_path, monkeypatch
):
    first = extract(cells, cache)
    monkeypatch.setattr(features, "build_backbone", no_network)
    monkeypatch.setattr(features, "prepare", no_network)
    moved = cells.assign(path=str(tmp_path / "gone.png"))
    assert (extract(moved, cache) == first).all()


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},  # other random weights
        {"normalization": "unit"},
        {"image_size": 33},
        {"segmentation": {"rule": "highest cluster"}},
        {"backbone": "mobilenetv2"},
        {"crop": 24},
    ],
    ids=lambda change: next(iter(change)),
)
def test_other_settings_are_computed_anew(cells, cache, computed, change):
    first = extract(cells, cache)
    computed.clear()
    crops = pd.array([change.get("crop")] * 10, dtype="Int64")
    settings = {key: value for key, value in change.items() if key != "crop"}
    other = extract(cells.assign(crop=crops), cache, **settings)
    assert sum(computed) == 10
    assert other.shape != first.shape or not np.allclose(other, first)
    computed.clear()
    assert (extract(cells, cache) == first).all()
    assert computed == []


def test_the_content_of_the_weights_file_decides_not_its_name(cells, cache, computed, tmp_path):
    one, other = tmp_path / "one.weights.h5", tmp_path / "other.weights.h5"
    models.build_backbone("mobilenet-0.25", 32, None, seed=1).save_weights(one)
    other.write_bytes(one.read_bytes())
    first = extract(cells, cache, weights=one)
    computed.clear()
    assert (extract(cells, cache, weights=other) == first).all()
    assert computed == []
    models.build_backbone("mobilenet-0.25", 32, None, seed=2).save_weights(one)
    assert not np.allclose(extract(cells, cache, weights=one), first)


def test_each_augmented_copy_has_its_own_features(cells, cache, computed, tmp_path):
    path = tmp_path / "weights.weights.h5"  # so that the seed is the augmentation's alone
    models.build_backbone("mobilenet-0.25", 32, None).save_weights(path)
    plain = extract(cells, cache, weights=path)
    expanded = augmentation.expand(cells, {"healthy": 10, "ALL": 10})
    computed.clear()
    with pytest.raises(ValueError, match="10 of 20 images are augmented copies, but no"):
        extract(expanded, cache, weights=path)
    found = extract(expanded, cache, weights=path, distortion=FARAG)
    assert sum(computed) == 10  # the originals are known
    assert (found[:10] == plain).all()
    assert len(np.unique(found, axis=0)) == 20
    computed.clear()
    other_seed = extract(expanded, cache, weights=path, distortion=FARAG, seed=1)
    assert sum(computed) == 10
    assert (other_seed[:10] == plain).all()
    assert not np.allclose(other_seed[10:], found[10:])


def test_the_default_cache_is_leukkits_own(cells, tmp_path, monkeypatch):
    monkeypatch.setenv("LEUKKIT_CACHE_DIR", str(tmp_path / "own"))
    extract(cells, None)
    assert len(shards(tmp_path / "own" / "features")) == 1


def test_no_images_at_all(cells, cache, monkeypatch):
    monkeypatch.setattr(features, "build_backbone", no_network)
    assert extract(cells.iloc[:0], cache).shape == (0, 256)


def test_an_unreadable_image_or_a_missing_hash_is_named(cells, cache, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"not an image")
    cells.loc[3, "path"] = str(broken)
    with pytest.raises(ValueError, match=r"broken\.png"):
        extract(cells, cache)
    cells.loc[2, "sha256"] = pd.NA
    with pytest.raises(ValueError, match="1 images have no hash"):
        extract(cells, cache)


def test_an_unknown_normalization(cells, cache):
    with pytest.raises(ValueError, match=r"'none'.*backbone"):
        extract(cells, cache, normalization="none")


def test_real_cells_with_real_weights_tell_the_classes_apart(cache, test_data, mobilenet_weights):
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from leukkit import datasets

    every = datasets.load("cnmc-2019", test_data / "cnmc-2019-subset")
    chosen = every.groupby("label").sample(60, random_state=0).reset_index(drop=True)
    found = features.extract(chosen, "mobilenet-0.25", 96, mobilenet_weights, cache)
    assert found.min() >= 0 and found.max() <= 6  # ReLU6
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.01))
    scores = cross_val_score(classifier, found, chosen["label"].to_numpy(object), scoring="roc_auc")
    assert scores.mean() > 0.65


def test_feature_maps_are_those_of_the_network_and_computed_once(cells, cache, computed):
    import keras

    whole = models.build("mobilenet-0.25", 2, 32, None, seed=0)
    network = keras.Model(whole.input, whole.get_layer("features").output)
    preparation = Preparation(32)
    pixels = images.load(cells, preparation, cache / "pixels")

    def maps(positions, made_by="mobilenet"):
        part = images.load(cells.iloc[positions], preparation, cache / "pixels")
        keys = images.keys(cells.iloc[positions], preparation)
        return features.feature_maps(network, part, keys, made_by, cache)

    found = maps(range(6))
    expected = network(np.asarray(pixels).astype(np.float32), training=False)
    assert (found.dtype, found.shape) == (np.float32, (6, *expected.shape[1:]))
    np.testing.assert_allclose(found[:], expected[:6], rtol=1e-4, atol=1e-6)
    assert computed == [4, 2]
    np.testing.assert_allclose(maps(range(9, 3, -1))[2:], expected[7:3:-1], rtol=1e-4, atol=1e-6)
    assert computed == [4, 2, 4]
    maps([0], made_by="mobilenet in another precision")
    assert computed == [4, 2, 4, 1]


def test_feature_maps_that_are_not_finite_are_not_kept(cache):
    import keras

    network = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Rescaling(np.inf)])
    with pytest.raises(ValueError, match="features that are not finite"):
        features.feature_maps(network, np.ones((2, 4, 4, 3), np.uint8), [b"a", b"b"], "it", cache)
    assert not list(cache.rglob("*.npy"))
