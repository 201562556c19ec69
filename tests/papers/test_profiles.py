"""Profiles: how they are laid over each other, and what the five papers' say is run."""

import pathlib

import numpy as np
import pandas as pd
import pytest

from leukkit import distortion, papers, splits
from leukkit.papers import profiles
from leukkit.schemas import SchemaError

# ----------------------------------------------------------------------------- a little profile

STEPS = [{"epochs": 2, "learning_rate": 0.1}]
PAPER = {
    "datasets": {"one": "all-idb2", "two": "cnmc-2019"},
    "seed": 3,
    "jobs": 1,
    "bootstrap_draws": 100,
    "models_kept": [0, 1],
    "splits": {
        "published": {"split": "holdout", "test": 0.2, "validation": "test"},
        "copied": {"split": "stratified", "folds": 3, "augment": "after", "copies": {"data_set": True}},
    },
    "made_under": ["published"],
    "copies": {"one": {"counts": {"ALL": 10}}, "two": {"each": 2}},
    "recipe": {"image_size": 32, "phases": STEPS, "augmentation": {"zoom": 0.1}},
    "networks": {"net": {"network": "vgg16", "head": "dense"}},
    "runs": {
        "net": {},
        "net_best": {"model": "net", "variant": "best", "batch_size": 8, "models_kept": [2]},
        "other": {"dataset": "two", "splits": ["copied"]},
        "pair": {"variant": "both", "members": ["net", "net_best"]},
    },
}
SVM = {"phases": [], "c": [1], "gamma": [1], "kernels": ["rbf"], "segmentation": {"k": 3}}


def resolve(name="paper", **known):
    return profiles.resolve("little", {"paper": PAPER, **known}, name)


def change(**content):
    """Return the profile that says ``content`` in the place of the paper's."""
    return resolve("mine", mine=content)


def with_run(**entry):
    return change(runs={"new": entry})


def only(profile, name, split=None):
    (run,) = (run for run in profiles.plan(profile, split) if run.name == name)
    return run


def test_tables_merge_runs_merge_by_name_and_the_rest_is_replaced_whole():
    profile = change(
        datasets={"two": "sample-cells"},
        models_kept=[],
        splits={"published": {"split": "official"}},
        copies={"two": {"counts": {"ALL": 9}}},
        recipe={"image_size": 64, "augmentation": {"shear": 5}},
        networks={"net": {"network": "vgg19"}},
        runs={"net_best": {"batch_size": 9}, "new": {"model": "net"}},
    )
    assert profile.datasets == {"one": "all-idb2", "two": "sample-cells"}
    assert (profile.seed, profile.models_kept) == (3, [])
    assert profile.splits["published"].record() == {"split": "official"}
    assert profile.splits["copied"].folds == 3
    assert profile.copies == {"one": {"counts": {"ALL": 10}}, "two": {"counts": {"ALL": 9}}}
    recipe = only(profile, "net_best").recipe
    assert (recipe.image_size, recipe.phases[0].epochs) == (64, 2)
    assert recipe.augmentation == {"shear": 5}
    assert (recipe.network, recipe.head) == ("vgg19", "pooled")
    assert (recipe.batch_size, only(profile, "net_best").models_kept) == (9, [2])
    assert list(profile.runs) == ["net", "net_best", "other", "pair", "new"]


def test_a_run_says_what_it_is_called_where_it_lies_and_how_it_is_divided():
    profile = change()
    run = only(profile, "net_best")
    assert (run.paper, run.profile, run.split, run.name) == ("little", "mine", "published", "net_best")
    assert run.keys == {"dataset": "one", "model": "net", "variant": "best"}
    assert (run.data, run.seed, run.models_kept) == ("all-idb2", 3, [2])
    assert only(profile, "net").models_kept == [0, 1]
    assert (run.recipe.network, run.recipe.head, run.recipe.batch_size) == ("vgg16", "dense", 8)
    assert only(profile, "other").recipe.network == "other"
    assert (only(profile, "pair").recipe, only(profile, "pair").members) == (None, ["net", "net_best"])
    places = [(run.name, run.split) for run in profiles.plan(profile)]
    names = ["net", "net_best", "other", "pair"]
    assert places == list(zip(names, ["published", "published", "copied", "published"], strict=True))
    assert [run.name for run in profiles.plan(profile, "copied")] == ["other"]
    everywhere = profiles.plan(change(made_under=[]))
    assert [run.split for run in everywhere if run.name == "net"] == ["published", "copied"]


def test_features_and_a_classifier_are_a_run_too():
    keys = {"dataset": "one", "backbone": "vgg19", "segmentation": False, "augmentation": True}
    for classifier, scaled in [("svm", False), ("svm-scaled", True)]:
        run = only(with_run(**SVM | keys, classifier=classifier), "new")
        assert run.keys == {**keys, "classifier": classifier}
        assert (run.recipe.network, run.recipe.classifier) == ("vgg19", "svm")
        assert (run.recipe.scaled, run.recipe.segmentation) == (scaled, None)
    about = {**SVM, **keys, "classifier": "svm", "segmentation": True}
    profile = change(runs={"new": {**about, "paper": "little2"}}, recipe={"segmentation": {"k": 4}})
    assert only(profile, "new").keys["paper"] == "little2"
    assert only(profile, "new").recipe.segmentation == {"k": 4}
    assert profiles.run_name({**keys, "segmentation": True}) == "one_vgg19_segmented_augmented"


@pytest.mark.parametrize(
    ("entry", "copies"),
    [
        ({}, {"counts": {"ALL": 10}}),
        ({"dataset": "two"}, {"each": 2}),
        ({"copies": {"balance": True}}, {"balance": True}),
        ({"table": {"copies": {"each": 4}}}, {"each": 4}),
        ({"augmentation": False}, None),
    ],
)
def test_how_many_copies_depends_on_the_run(entry, copies):
    profile = with_run(model="net", splits=["copied"], **entry)
    table = only(profile, "new").table
    assert table.get("copies") == copies
    assert table.get("augment") == (copies and "after")
    assert profiles.split(profile, "copied", "new") == table
    assert profiles.split(profile, "copied")["copies"] == {"data_set": True}


@pytest.mark.parametrize(
    ("left_out", "names"),
    [
        (["net"], {"other"}),  # and with the network an ensemble's members
        (["net_best"], {"net", "other"}),
        (["two"], {"net", "net_best", "pair"}),
        (["best", "both"], {"net", "other"}),
    ],
)
def test_runs_are_left_out_by_name_network_data_set_and_variant(left_out, names):
    assert {run.name for run in profiles.plan(change(leave_out=left_out))} == names


def test_a_profile_extends_the_paper_s_another_or_none(tmp_path):
    known = {"quick": {"jobs": 2, "recipe": {"image_size": 16}}}
    path = tmp_path / "mine.toml"
    found = []
    for line in ("", 'extends = "quick"\n'):
        path.write_text(line + "seed = 5\n[recipe]\nbatch_size = 4")
        profile = resolve(str(path), **known)
        recipe = profiles.recipe(profile, "net")
        found.append((profile.seed, profile.jobs, recipe.image_size, recipe.batch_size))
    assert found == [(5, 1, 32, 4), (5, 2, 16, 4)]
    assert (profile.name, profile.label) == (str(path), "mine")
    assert change(extends="none", **PAPER).splits.keys() == PAPER["splits"].keys()
    required = PAPER.keys() - {"made_under", "copies", "networks"}  # they can be empty
    for key in required:
        content = {name: value for name, value in PAPER.items() if name != key}
        with pytest.raises(SchemaError, match=rf"\[profiles.mine\]: missing field {key}"):
            change(extends="none", **content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"epochs": 1}, r"\[profiles.mine\]: unknown field epochs; known are"),
        ({"seed": "0"}, "seed: .*valid integer, found '0'"),
        ({"jobs": 0}, "jobs: .*greater than or equal to 1"),
        ({"extends": "sample"}, "extends is 'sample'; expected none, paper"),
        ({"extends": "mine"}, "extends is 'mine'; expected none, paper"),
        ({"runs": ["net"]}, r"\[profiles.mine\]: runs must be a table of tables, found \['net'\]"),
        ({"splits": {"published": 0.2}}, "splits must be a table of tables"),
        ({"splits": {"new": {"split": "holdout"}}}, "splits.new: split = 'holdout' also needs test"),
        ({"made_under": ["new"]}, "runs.net: unknown split 'new'"),
        ({"recipe": {"image_sise": 32}}, "runs.net: unknown field image_sise; known are network"),
        ({"networks": {"vgg-19": {"head": "dense"}}}, "networks: no run has vgg-19; known are net"),
        ({"copies": {"three": {"each": 1}}}, "copies: no run has three; known are one, two"),
        ({"leave_out": ["nett"]}, "leave_out: no run has nett; known are best"),
        ({"runs": {"net": {"image_sise": 3}}}, "runs.net: unknown field image_sise"),
        ({"runs": {"net": {"dataset": "three"}}}, "runs.net: unknown data set 'three'.*one, two"),
        ({"runs": {"net": {"splits": ["new"]}}}, "runs.net: unknown split 'new'"),
        ({"runs": {"net": {"table": {"fold": 3}}}}, "runs.net, splits.published: unknown .* fold"),
        ({"runs": {"pair": {"members": ["nett"]}}}, "no run 'nett'; it has net, net_best"),
        ({"runs": {"pair": {"batch_size": 3}}}, "runs.pair: an ensemble has no recipe .*batch_size"),
        (
            {"datasets": {"new": "x"}, "runs": {"net": {"dataset": "new", "splits": ["copied"]}}},
            r"runs.net, splits.copied: copies = data_set, but \[copies\] lacks new",
        ),
    ],
)
def test_what_a_profile_cannot_say_is_refused(content, message):
    with pytest.raises(SchemaError, match=message):
        change(**content)


def test_what_is_not_there_is_named_with_what_is(tmp_path):
    path = tmp_path / "mine.toml"
    with pytest.raises(SchemaError, match="mine.toml does not exist; built in are paper"):
        resolve(str(path))
    path.write_text("seed = ")
    with pytest.raises(SchemaError, match="mine.toml: Invalid value"):
        resolve(str(path))
    with pytest.raises(SchemaError, match="no profile 'fast'; it has paper.*path of a TOML file"):
        resolve("fast")
    with pytest.raises(SchemaError, match=r"\[profiles.paper\] is missing"):
        profiles.resolve("little", {"sample": PAPER}, "sample")
    with pytest.raises(SchemaError, match="no run 'nett'; it has net, net_best"):
        profiles.recipe(resolve(), "nett")
    with pytest.raises(SchemaError, match="pair is an ensemble of net, net_best: it has no recipe"):
        profiles.recipe(resolve(), "pair")
    for function in (profiles.plan, profiles.split):
        with pytest.raises(SchemaError, match="no split 'new'; it has published, copied"):
            function(resolve(), "new")


# ----------------------------------------------------------------------------- the papers' profiles

NETWORKS = ("patel2025", "mishra", "samhitha", "sultana")
DOCS = {"cnmc-subset": "farag2025", "cnmc-subset-finetuned": "patel2025"}
FOLDER = pathlib.Path(__file__).parents[2] / "docs" / "profiles"
PROFILES = [(key, name) for key in papers.KEYS for name in ("sample", "paper")]
PROFILES += [(key, str(FOLDER / f"{name}.toml")) for name, key in DOCS.items()]


@pytest.mark.parametrize(("key", "name"), PROFILES)
def test_every_profile_can_be_run(key, name):
    card = papers.load(key)
    profile, runs = card.profile(name), card.plan(name)
    assert len({(run.split, run.name) for run in runs}) == len(runs) > 0
    for run in runs:
        assert run.data in profile.datasets.values()
        if run.recipe is not None:
            distortion.check(run.recipe.augmentation)
            if not run.recipe.distortion.keys() & {"angles", "light"}:
                distortion.check(run.recipe.distortion)
    leak_free = [run.table for run in runs if run.split == "leak-free"]
    assert leak_free and "published" in profile.splits
    for table in leak_free:
        assert table["split"] == "subject" and table.get("by", "subject") == "subject"
        assert table.get("validation") != "test" and table.get("augment") != "before"


@pytest.mark.parametrize("key", papers.KEYS)
def test_every_printed_run_is_made_as_published_and_in_the_sample(key):
    card = papers.load(key)
    full = card.plan("paper")
    cells = card.cells()
    cells = cells[cells[card.run_keys[:2]].notna().all(axis=1)]
    rows = cells.reindex(columns=card.run_keys).astype(object)
    rows = rows[rows.notna().all(axis=1)] if key == "farag2025" else rows.fillna("")
    printed = set(rows.itertuples(index=False, name=None))
    made = {tuple(run.keys[name] for name in card.run_keys) for run in full if run.split == "published"}
    assert printed <= made
    left_out = card.profile("sample").leave_out
    named = {run.name for run in full if run.keys.get("backbone") not in left_out}
    assert named <= {run.name for run in card.plan("sample")}
    assert all(run.recipe.weights == "none" for run in card.plan("sample") if run.recipe)
    if key != "farag2025":
        assert len(full) == len(card.profile("paper").runs) * len(card.profile("paper").splits)


@pytest.mark.parametrize(
    ("key", "dataset", "sample", "epochs", "batch_size", "image_size", "learning_rate"),
    [
        ("patel2025", "cnmc-2019", "sample-cells", 50, 32, 224, 1e-4),
        ("mishra", "all-2021", "sample-smears", 25, 32, 224, 1e-3),
        ("samhitha", "cnmc-2019", "sample-cells", 60, 32, 224, 1e-3),
        ("sultana", "all-2021", "sample-smears", 25, 17, 132, 1e-4),
    ],
)
def test_recipes_are_the_papers(key, dataset, sample, epochs, batch_size, image_size, learning_rate):
    card = papers.load(key)
    assert card.profile("paper").datasets == {dataset: dataset}
    assert card.profile("sample").datasets == {dataset: sample}
    assert set(card.datasets) == {dataset}
    for recipe in (run.recipe for run in card.plan("paper") if run.recipe):
        assert recipe.optimizer == ("sgd" if key == "patel2025" else "adam")
        assert (recipe.batch_size, recipe.image_size) == (batch_size, image_size)
        assert (recipe.epochs, recipe.phases[0].learning_rate) == (epochs, learning_rate)


def test_farag_grid_and_counts():
    card = papers.load("farag2025")
    full = card.profile("paper")
    assert full.copies["cnmc-2019"]["counts"] == {"healthy": 8000, "ALL": 8000}
    assert full.copies["all-idb2"]["counts"] == {"healthy": 750, "ALL": 750}
    assert {run.recipe.network for run in card.plan("paper")} == set(card.cells()["backbone"].dropna())
    for name in ("paper", "sample"):
        recipe = card.recipe("all-idb2_densenet201_svm_segmented_augmented", name)
        assert recipe.image_size == (224 if name == "paper" else 64)
        assert recipe.c == [0.1, 1, 10, 100, 1000]
        assert recipe.gamma == [1, 0.1, 0.01, 0.001, 0.0001]
        assert recipe.kernels == ["rbf", "poly"]
        assert recipe.segmentation == {"k": 3, "threshold": 141}


def test_patel_says_where_no_pretrained_weights_can_be_had():
    card = papers.load("patel2025")
    weights = {run.keys["model"]: run.recipe.weights for run in card.plan("paper")}
    without = {"shufflenet": "none", "googlenet": "none"}
    assert weights == {"vgg19": "imagenet", "resnet18": "imagenet"} | without
    assert card.recipe("vgg19", "paper").new_layer_factor == 10
    assert card.recipe("vgg19", "paper").phases[0].trainable == "all"
    assert card.split("published", "paper")["folds"] == 7


def test_samhitha_fine_tunes_the_last_20_layers_of_the_proposed_network_only():
    for run in papers.load("samhitha").plan("paper"):
        trainable = [phase.trainable for phase in run.recipe.phases]
        proposed = run.keys["model"] == "efficientnetb0-attention"
        assert trainable == (["head", 20] if proposed else ["head"])
        once = run.keys["variant"] == "rescaled-once"
        assert run.recipe.normalization == ("backbone" if once else "unit")


def test_sultana_starts_full_training_from_scratch_and_freezes_what_is_pretrained():
    card = papers.load("sultana")
    for run in card.plan("paper"):
        variant = run.keys["variant"]
        if run.recipe is None:
            assert (run.keys["model"], variant) == ("dex", "ensemble")
            continue
        assert run.recipe.weights == ("none" if variant == "full-training" else "imagenet")
        assert run.recipe.frozen == (variant == "frozen-features")
        assert (run.recipe.patience, run.table["copies"]) == (10, {"each": 10})
        assert (run.name in only(card.profile("paper"), "dex_ensemble", "published").members) == (
            variant == "member"
        )


# ----------------------------------------------------------------------------- and their splits

C_NMC = {"healthy": 3389, "ALL": 7272}
ALL_2021 = {"benign": 504, "early": 985, "pre": 963, "pro": 804}


def whole_data_set(counts):
    """Return cells of made-up images: as many per class as the real data set has."""
    labels = pd.Series([label for label, count in counts.items() for _ in range(count)])
    number = labels.groupby(labels).cumcount()
    ids = labels + "-" + number.astype(str)
    subjects = "proxy:" + labels + "-" + (number // 37).astype(str)
    cells = pd.DataFrame({"image_id": ids, "label": labels, "sha256": ids, "subject": subjects})
    return cells.astype("string").assign(patient=pd.NA, sequence=labels, number=number)


@pytest.mark.parametrize(
    ("key", "counts", "split", "table"),
    [
        ("mishra", ALL_2021, "published", "Table 2"),
        ("samhitha", C_NMC, "published", "Table I"),
        ("patel2025", C_NMC, "published-split", "70/15/15"),
    ],
)
def test_the_published_split_gives_the_printed_counts(key, counts, split, table):
    card = papers.load(key)
    divided = splits.divide(whole_data_set(counts), card.split(split, "paper"))
    parts = dict(zip(("training", "validation", "test"), divided.folds[0], strict=True))
    if key == "patel2025":
        printed = card.claims[(card.claims["split"] == table) & card.claims["label"].notna()]
    else:
        printed = card.cells().query("table == @table")
    printed = printed[(printed["quantity"] == "images") & printed["part"].isin(list(parts))]
    assert len(printed) >= 4
    for row in printed.itertuples():
        found = (divided.cells["label"].iloc[parts[row.part]] == row.label).sum()
        # Table I has 508 healthy cells in one part and 509 in the other; 15% are 508.35.
        assert abs(found - row.value) <= (row.printed == "509")


def test_leak_free_folds_of_smears_keep_away_from_their_neighbors():
    table = papers.load("mishra").split("leak-free", "paper")
    split = splits.divide(whole_data_set(ALL_2021), table)
    shares = splits.leakage_shares({"leak-free": split}).iloc[0]
    assert (shares["subject"], shares["original"], shares["bytes"]) == (0, 0, 0)
    for fold in split.folds:
        train, test = split.cells.iloc[fold.train], split.cells.iloc[fold.test]
        for name in ALL_2021:
            trained = train["number"][train["label"] == name].unique()
            tested = test["number"][test["label"] == name].to_numpy()
            assert np.abs(trained[:, None] - tested).min() > 5
