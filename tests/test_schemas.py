import json

import pytest

from leukkit import models
from leukkit.schemas import Phase, Recipe, SchemaError, SplitTable, check, digest

STEPS = [{"epochs": 2, "learning_rate": 0.1}, {"epochs": 3, "learning_rate": 0.01}]
NETWORK = {"network": "vgg16", "image_size": 32, "phases": STEPS}
GRID = {"phases": [], "classifier": "svm", "c": [0.1, 10], "gamma": [1], "kernels": ["rbf"]}


def recipe(**changes):
    return check(Recipe, NETWORK | changes, "recipe")


def table(**content):
    return check(SplitTable, content, "split table")


def double(features, times=2):
    return features * times


def test_replace_gives_a_checked_copy():
    one = recipe()
    other = one.replace(image_size=96, phases=[Phase(epochs=7, learning_rate=1e-3)])
    assert (one.image_size, other.image_size) == (32, 96)
    assert (one.epochs, other.epochs, other.network) == (5, 7, "vgg16")
    assert one.replace() == one
    with pytest.raises(SchemaError, match="recipe: unknown field size; known are network, head, "):
        one.replace(size=96)
    with pytest.raises(ValueError, match="frozen"):
        one.image_size = 96


def test_phases_share_the_epochs_and_may_leave_the_backbone_as_it_is():
    assert [recipe().phase_of(epoch) for epoch in range(5)] == [0, 0, 1, 1, 1]
    with pytest.raises(IndexError, match="epoch 5 lies beyond the 5 epochs"):
        recipe().phase_of(5)
    heads = [{**step, "trainable": "head"} for step in STEPS]
    assert recipe(phases=heads).frozen and not recipe().frozen
    assert not recipe(phases=[*heads, STEPS[0]]).frozen
    assert not recipe(phases=heads, augmentation={"zoom": 0.1}).frozen


@pytest.mark.parametrize("weights", ["$KAGGLE_KEY", "${KAGGLE_KEY}/vgg16.h5", "a/$KAGGLE_KEY.h5"])
def test_a_path_of_weights_brings_no_secret_of_the_environment_into_an_error(monkeypatch, weights):
    monkeypatch.setenv("KAGGLE_KEY", "0a1b2c3d")
    source = recipe(weights=weights).weights_source
    assert source == weights
    with pytest.raises(models.WeightsError) as raised:
        models.weights_id("vgg16", source, 0, 1.0)
    assert "KAGGLE_KEY" in str(raised.value) and "0a1b2c3d" not in str(raised.value)


def test_a_recipe_builds_its_network_on_the_weights_that_it_names(monkeypatch):
    monkeypatch.setenv("LEUKKIT_WEIGHTS_DIR", "/weights")
    monkeypatch.setattr(models, "build", lambda *positional, **named: (positional, named))
    plain = {"normalization": "backbone", "statistics": None, "seed": 3, "width": 1.0}
    assert recipe(head=double).build(2, seed=3) == (("vgg16", 2, 32, None, double), plain)
    gray = {
        "normalization": "z-score",
        "statistics": ((128,) * 3, (64,) * 3),
        "seed": 0,
        "width": 1.0,
    }
    monkeypatch.setenv("HOME", "/home")
    named = {"imagenet": "imagenet", "$LEUKKIT_WEIGHTS_DIR/a.h5": "/weights/a.h5"}
    named["~/a.h5"] = "/home/a.h5"
    for weights, source in named.items():
        built = recipe(normalization="z-score", weights=weights).build(4)
        assert built == (("vgg16", 4, 32, source, "pooled"), gray)


def test_a_recipe_is_shown_as_the_settings_that_matter():
    steps = [*STEPS, {"epochs": 1, "learning_rate": 1e-5, "trainable": 20}]
    network = recipe(phases=steps, augmentation={"zoom": 0.1, "fill": "black"}, head=double)
    shown = network.table()["value"]
    assert shown["phases"] == (
        "2 epochs at 0.1, all layers; 3 epochs at 0.01, all layers; "
        "1 epoch at 1e-05, head and last 20 layers"
    )
    assert (shown["augmentation"], shown["distortion"]) == ("zoom 0.1, fill black", "none")
    assert (shown["head"], shown["deterministic"]) == ("double (your own)", "yes")
    assert {"momentum", "classifier", "c", "scaled"}.isdisjoint(shown.index)
    assert recipe(optimizer="sgd").table()["value"]["momentum"] == "0.9"
    assert shown["phases"] in repr(network) == str(network)
    assert "<td>32</td>" in network._repr_html_()
    shown = recipe(**GRID).table()["value"]
    assert (shown["classifier"], shown["c"], shown["scaled"]) == ("svm", "0.1, 10", "no")
    assert {"head", "phases", "optimizer", "augmentation"}.isdisjoint(shown.index)
    forest = recipe(**GRID | {"classifier": "rf"}).table()
    assert "scaled" in forest.index and "gamma" not in forest.index


def test_a_recipe_without_stain_has_the_hash_of_before_there_was_one():
    before = Recipe(network="vgg16", image_size=96, phases=[{"epochs": 3, "learning_rate": 0.05}])
    known = "ab98fefcef99473101924856cbab04466fb45c884e51f6a9758a8b55ce3c56bf"
    assert digest(before.record()) == known and "stain" not in before.table().index
    stained = before.replace(stain="reinhard")
    assert Recipe.from_record(stained.record(), "here") == stained != before
    assert stained.table()["value"]["stain"] == "reinhard"


def test_a_head_is_known_by_its_name_or_by_its_source_and_defaults():
    def made_again(name, times=2):
        function = type(double)(double.__code__, double.__globals__, name, (times,))
        function.__qualname__ = name
        return function

    record = recipe(head=double).record()
    assert record["head"]["function"] == f"{__name__}.double"
    assert json.loads(json.dumps(record)) == record
    assert recipe(head=made_again("double")).record() == record
    others = [made_again("double", times=3), made_again("triple"), "pooled"]
    assert len({digest(recipe(head=head).record()) for head in [double, *others]}) == 4
    again = Recipe.from_record(record, "fold.json")
    assert again == recipe(head=record["head"]["function"])
    assert Recipe.from_record(again.record(), "fold.json") == again
    with pytest.raises(SchemaError, match=r"fold\.json.*depth"):
        Recipe.from_record({**record, "depth": 3}, "fold.json")
    of_the_kit = made_again("dense")
    of_the_kit.__module__ = "leukkit.models.heads"
    assert recipe(head=of_the_kit).record() == recipe(head="dense").record()


def closure(times):
    def head(features):
        return features * times

    return head


exec("def without_source(features): return features")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"head": lambda features: features}, "head: .*<lambda> is a lambda or uses .*with def"),
        ({"head": closure(2)}, "closure.<locals>.head is a lambda or uses variables of a function"),
        ({"head": globals()["without_source"]}, "source of head without_source cannot be read"),
        ({"head": Phase}, "head <class .*Phase'> is no function: write one with def"),
        ({"head": 3}, "head: .*valid string or .*callable, found 3"),
        ({"phases": []}, r"phases of training, or a classifier .*found phases=\[\] and .*None"),
        ({"classifier": "rf"}, "and not both"),
        (GRID | {"gamma": []}, "'svm' needs at least one value each of c, gamma and kernels"),
        ({"network": "dex", "phases": [{**STEPS[0], "trainable": "head"}]}, "trained whole"),
        ({"weight_decay": 1e-4}, "weight_decay and new_layer_factor need optimizer = 'sgd'"),
        ({"new_layer_factor": 10.0}, "need optimizer = 'sgd'"),
        ({"optimizer": "rmsprop"}, "optimizer: .*'adam' or 'sgd', found 'rmsprop'"),
        ({"select": "first"}, "select: .*'best' or 'last', found 'first'"),
        ({"image_size": 0}, "image_size: .*greater than or equal to 1, found 0"),
        ({"image_size": 32.5}, "image_size: .*valid integer, found 32.5"),
        ({"momentum": float("inf")}, "momentum: .*finite number"),
        ({"phases": [{"epochs": 0, "learning_rate": 0.1}]}, "phases.0.epochs: .*found 0"),
        ({"phases": [{"epochs": 1, "learning_rate": 0.0}]}, "phases.0.learning_rate: .*found 0.0"),
        (
            {"phases": [{**STEPS[0], "trainable": 0}]},
            "trainable: .*'all' or 'head' or .* 1, found 0",
        ),
        ({"weights": ""}, "weights: .*at least 1 character"),
        ({"optimizer": "sgd", "momentum": 5.0}, "momentum: .*less than 1, found 5.0"),
        ({"optimizer": "sgd", "weight_decay": -1.0}, "weight_decay: .*found -1.0"),
        ({"optimizer": "sgd", "new_layer_factor": 0.0}, "new_layer_factor: .*found 0.0"),
        (GRID | {"c": [1.0, 0.0]}, "c.1: .*greater than 0, found 0.0"),
        (GRID | {"gamma": ["1"]}, "gamma.0: .*valid number, found '1'"),
        ({"augmentation": {"rotatoin": 5}}, "unknown augmentation 'rotatoin'; known are"),
        ({"distortion": {"rotation": "5"}}, "rotation is '5', expected a number from 0"),
        ({"distortion": {"elastic": {"alpha": "1", "sigma": 2}}}, "elastic is .*a table with"),
        ({"segmentation": {"clusters": 3}}, "unknown field segmentation.clusters"),
        ({"segmentation": {"k": "3"}}, "segmentation.k: .*valid integer, found '3'"),
        ({"segmentation": {"k": 0}}, "segmentation.k: .*greater than or equal to 1, found 0"),
        ({"segmentation": {"threshold": "141"}}, "segmentation.threshold: .*number.*found '141'"),
        ({"segmentation": {"opening": -1}}, "segmentation.opening: .*found -1"),
        ({"segmentation": {"rule": "otsu"}}, "segmentation.rule: .*'above threshold'.*'otsu'"),
        ({"segmentation": {"after_resizing": 1}}, "segmentation.after_resizing: .*found 1"),
        ({"phases": [{**STEPS[0], "trainable": "top"}]}, "'all' or 'head' or .*, found 'top'"),
    ],
)
def test_what_is_no_recipe_is_refused(changes, message):
    with pytest.raises(SchemaError, match=f"^recipe: .*{message}"):
        recipe(**changes)


def test_a_table_s_record_does_not_say_where_it_comes_from():
    own = table(split="subject", folds=5)
    assert (own.validation, own.missing, own.embargo, own.tuning) == (0, "error", 0, 0)
    card = table(split="subject", folds=5, paper="mishra", profile="paper", name="leak-free")
    assert own.record() == card.record() == {"split": "subject", "folds": 5}


HOLDOUT = {"split": "holdout", "test": 0.2}
COPIED = {**HOLDOUT, "augment": "after"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "missing field split"),
        ({"split": "random"}, "split: .*'holdout', 'stratified', .*, found 'random'"),
        ({"split": "holdout"}, "split = 'holdout' also needs test"),
        ({"split": "stratified"}, "also needs folds"),
        ({"split": "subject"}, "also needs folds"),
        ({"split": "counts"}, "also needs test_counts"),
        ({**HOLDOUT, "test": 1.0}, "test: .*less than 1, found 1.0"),
        ({**HOLDOUT, "validation": "train"}, "validation: .*number or .*'test', found 'train'"),
        ({**HOLDOUT, "missing": "drop"}, "missing: .*'error' or 'image', found 'drop'"),
        ({**HOLDOUT, "embargo": 2}, "does not use embargo; known are augment, by, copies"),
        ({"split": "stratified", "folds": 3, "by": "patient"}, "'stratified' does not use by;"),
        ({"split": "official", "folds": 3}, "'official' does not use folds"),
        ({**HOLDOUT, "fold": 3}, "unknown field fold; known are"),
        (COPIED, "give both of them, or neither; found augment='after' and copies=None"),
        ({**HOLDOUT, "copies": {"each": 1}}, "give both of them, or neither"),
        ({**COPIED, "augment": "now", "copies": {"each": 1}}, "'before' or 'after', found 'now'"),
        ({**COPIED, "copies": {"twice": True}}, "'counts', 'balance', 'each' or 'data_set'"),
        ({**COPIED, "copies": {}}, "copies is {}; expected one of counts = "),
        ({**COPIED, "copies": {"each": 1, "balance": True}}, "expected one of counts = "),
        ({**COPIED, "copies": {"balance": False}}, "copies is {'balance': False}; expected one"),
        ({**COPIED, "copies": {"counts": 100}}, "copies is {'counts': 100}; expected one"),
        ({**COPIED, "copies": {"counts": {"ALL": "9"}}}, "'9'}}; expected one"),
        ({**COPIED, "copies": {"each": -1}}, "copies is {'each': -1}; expected one"),
        ({"split": "subject", "folds": "3"}, "folds: .*valid integer, found '3'"),
        ({"split": "subject", "folds": 0}, "folds: .*or equal to 2, found 0"),
        ({"split": "subject", "folds": 3, "tuning": 1}, "tuning: .*0 or .*to 2, found 1"),
        ({"split": "counts", "test_counts": {"ALL": 1.5}}, "test_counts.ALL: .*found 1.5"),
        (
            {**HOLDOUT, "augment": "before", "copies": {"each": 1}, "tuning": 2},
            "augment = 'before' mixes the copies: .*tuned_by_image = true",
        ),
    ],
)
def test_what_is_no_split_table_is_refused(content, message):
    with pytest.raises(SchemaError, match=f"^split table: .*{message}"):
        table(**content)
