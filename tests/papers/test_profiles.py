"""Profiles: how they are laid over each other, and what the five papers' say is run."""

import pathlib

import numpy as np
import pandas as pd
import pytest

from leukkit import augmentation, models, papers, splits
from leukkit.papers import profiles
from leukkit.schemas import SchemaError

# ----------------------------------------------------------------------------- a little profile

COPIED = {"augment": "after", "copies": {"data_set": True}}
STEPS = [{"epochs": 2, "learning_rate": 0.1}]
PAPER = {
    "datasets": {"one": "all-idb2", "two": "cnmc-2019"},
    "seed": 3,
    "jobs": 1,
    "models_kept": [0, 1],
    "splits": {
        "published": {"split": "holdout", "test": 0.2, "validation": "test"},
        "copied": {"split": "stratified", "folds": 3, **COPIED},
    },
    "made_under": ["published"],
    "copies": {"one": {"counts": {"ALL": 10}}, "two": {"each": 2}},
    "recipe": {"image_size": 32, "phases": STEPS, "augmentation": {"zoom": 0.1}},
    "networks": {"net": {"network": "vgg16", "head": "dense"}},
    "runs": {
        "net": {},
        "net_best": {"model": "net", "variant": "best", "batch_size": 8, "models_kept": [2]},
        "other": {"dataset": "two", "splits": ["copied"], "paper": "little2"},
        "pair": {"variant": "both", "members": ["net", "net_best"]},
    },
}


def resolve(name="paper", **known):
    return profiles.resolve("little", {"paper": PAPER, **known}, name)


def change(**content):
    """Return the profile that says ``content`` in the place of the paper's."""
    return resolve("mine", mine=content)


def only(profile, name):
    (run,) = (run for run in profile.plan() if run.name == name)
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
    assert list(profile.runs) == [*PAPER["runs"], "new"]
    run = only(profile, "net_best")
    assert (run.recipe.image_size, run.recipe.epochs, run.recipe.batch_size) == (64, 2, 9)
    assert (run.recipe.network, run.recipe.head, run.models_kept) == ("vgg19", "pooled", [2])
    assert run.recipe.augmentation == {"shear": 5}


def test_a_run_says_what_it_is_called_what_it_uses_and_where_it_lies():
    profile = change()
    run, ensemble = only(profile, "net_best"), only(profile, "pair")
    assert (run.paper, run.profile, run.split) == ("little", "mine", "published")
    assert run.keys == {"dataset": "one", "model": "net", "variant": "best"}
    assert (run.data, run.seed, run.models_kept) == ("all-idb2", 3, [2])
    assert (run.recipe.network, run.recipe.head, run.recipe.batch_size) == ("vgg16", "dense", 8)
    assert (ensemble.recipe, ensemble.members) == (None, ["net", "net_best"])
    assert (ensemble.models_kept, only(profile, "other").recipe.network) == ([0, 1], "other")
    assert [run.name for run in profile.plan()] == list(PAPER["runs"])
    assert [run.name for run in profile.plan("copied")] == ["other"]
    everywhere = change(made_under=[]).plan()
    assert [run.split for run in everywhere if run.name == "net"] == ["published", "copied"]


@pytest.mark.parametrize(("classifier", "scaled"), [("svm", False), ("svm-scaled", True)])
@pytest.mark.parametrize("segmented", [True, False])
def test_features_and_a_classifier_are_a_run_too(classifier, scaled, segmented):
    grid = {"phases": [], "c": [1], "gamma": [1], "kernels": ["rbf"], "segmentation": {"k": 3}}
    keys = {"dataset": "one", "backbone": "vgg19", "classifier": classifier}
    keys |= {"segmentation": segmented, "augmentation": True}
    run = only(change(recipe=grid, runs={"new": keys}, leave_out=["net", "other"]), "new")
    assert run.keys == keys | {"variant": ""}
    assert (run.recipe.network, run.recipe.classifier, run.recipe.scaled) == (
        "vgg19",
        "svm",
        scaled,
    )
    assert run.recipe.segmentation == ({"k": 3} if segmented else None)


@pytest.mark.parametrize(
    ("entry", "copies"),
    [
        ({}, {"counts": {"ALL": 10}}),
        ({"dataset": "two"}, {"each": 2}),
        ({"copies": {"balance": True}}, {"balance": True}),
        ({"table": {"copies": {"each": 4}}}, {"each": 4}),
        ({"splits": ["published"]}, None),
        ({"splits": ["published"], "augmentation": True}, {"counts": {"ALL": 10}}),
        ({"augmentation": False}, None),
    ],
)
def test_how_many_copies_depends_on_the_run(entry, copies):
    profile = change(runs={"new": {"model": "net", "splits": ["copied"], **entry}})
    run = only(profile, "new")
    assert run.table.get("copies") == copies
    assert run.table.get("augment") == (copies and "after")
    assert profile.split(run.split, "new") == run.table
    assert profile.split("copied")["copies"] == {"data_set": True}


@pytest.mark.parametrize(
    ("left_out", "names"),
    [
        (["net"], {"other"}),  # the network, and so the ensemble's members
        (["net_best"], {"net", "other"}),
        (["two"], {"net", "net_best", "pair"}),
        (["*_best", "little2"], {"net"}),
    ],
)
def test_runs_are_left_out_by_name_network_data_set_paper_and_pattern(left_out, names):
    assert {run.name for run in change(leave_out=left_out).plan()} == names


def test_a_variant_is_each_of_its_runs_once_more_in_another_way():
    wide = {"of": ["net*", "pair"], "recipe": {"width": 0.5}}
    profile = change(variants={"slim": wide, "late": {"of": ["other"], "splits": ["published"]}})
    names = ["net_slim", "net_best_slim", "pair_slim", "other_late"]
    assert [run.name for run in profile.plan()] == [*PAPER["runs"], *names]
    best, run = only(profile, "net_best"), only(profile, "net_best_slim")
    assert run.keys == best.keys | {"variant": "best_slim"}
    assert run.recipe == best.recipe.replace(width=0.5)
    assert (run.table, run.data, run.models_kept) == (best.table, best.data, [])
    assert only(profile, "net_slim").keys == {"dataset": "one", "model": "net", "variant": "slim"}
    pair = only(profile, "pair_slim")
    assert (pair.members, pair.recipe) == (["net_slim", "net_best_slim"], None)
    assert (only(profile, "other").split, only(profile, "other_late").split) == (
        "copied",
        "published",
    )
    left = change(variants={"slim": wide}, leave_out=["net_slim"]).plan()  # and so its ensemble
    assert {run.name for run in left} == {*PAPER["runs"], "net_best_slim"}


def test_a_profile_extends_the_paper_s_another_or_none(tmp_path):
    path = tmp_path / "mine.toml"
    for line, jobs, image_size in [("", 1, 32), ('extends = "quick"\n', 2, 16)]:
        path.write_text(line + "seed = 5\n[recipe]\nbatch_size = 4")
        profile = resolve(str(path), quick={"jobs": 2, "recipe": {"image_size": 16}})
        recipe = profile.recipe_of("net")
        assert (profile.name, profile.seed) == (str(path), 5)
        assert (profile.jobs, recipe.image_size, recipe.batch_size) == (jobs, image_size, 4)
    assert change(extends="none", **PAPER).runs == resolve().runs
    for key in PAPER.keys() - {"made_under", "copies", "networks"}:  # which can be empty
        content = {name: value for name, value in PAPER.items() if name != key}
        with pytest.raises(SchemaError, match=rf"\[profiles.mine\]: missing field {key}"):
            change(extends="none", **content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"epochs": 1}, r"\[profiles.mine\]: unknown field epochs; known are"),
        ({"seed": "0"}, "seed: .*valid integer, found '0'"),
        ({"extends": "sample"}, "extends is 'sample'; expected none, paper"),
        ({"extends": "mine"}, "extends is 'mine'; expected none, paper"),
        ({"runs": ["net"]}, r"\[profiles.mine\]: runs: .*valid dictionary, found \['net'\]"),
        ({"runs": {"net": 3}}, "runs.net: .*valid dictionary.*found 3"),
        ({"splits": {"published": 0.2}}, "splits.published: .*valid dictionary.*found 0.2"),
        ({"splits": {"new": {"split": "holdout"}}}, "splits.new: split = 'holdout' also needs"),
        ({"recipe": {"image_sise": 32}}, "runs.net: unknown field image_sise; known are network"),
        ({"networks": {"vgg-19": {"head": "dense"}}}, "networks: no run has vgg-19; known are net"),
        ({"copies": {"three": {"each": 1}}}, "copies: no run has three; known are one, two"),
        ({"variants": {"slim": {"of": ["nett"]}}}, "variants.slim: no run has nett"),
        ({"variants": {"slim": {"width": 0.5}}}, "unknown field variants.slim.width"),
        ({"variants": {"slim": {"of": ["pair"]}}}, "no run 'net_slim'; it has net, net_best"),
        ({"leave_out": ["*"]}, r"leave_out = \['\*'\] leaves no run to make"),
        ({"seed": -1}, "seed: .*greater than or equal to 0, found -1"),
        ({"models_kept": [-1]}, "models_kept.0: .*found -1"),
        ({"models_kept": [99]}, "models_kept: no split has a fold 99; they go to 2"),
        ({"datasets": {"one": "my/cells"}}, "datasets.one is the folder 'my/cells', which a noteb"),
        ({"jobs": 0}, "jobs: .*greater than or equal to 1, found 0"),
        ({"leave_out": ["nett"]}, "leave_out: no run has nett; known are little2, net"),
        ({"runs": {"net": {"dataset": "three"}}}, "runs.net: unknown data set 'three'.*one, two"),
        ({"runs": {"net": {"splits": ["new"]}}}, "runs.net: unknown split 'new'"),
        ({"runs": {"net": {"table": {"fold": 3}}}}, "runs.net, splits.published: unknown .* fold"),
        ({"runs": {"pair": {"members": ["nett"]}}}, "no run 'nett'; it has net, net_best"),
        ({"runs": {"net": {"members": ["pair"]}}}, "runs.net: pair is itself an ensemble"),
        ({"runs": {"pair": {"members": ["pair"]}}}, "runs.pair: pair is itself an ensemble"),
        ({"runs": {"pair": {"steps": 3}}}, "runs.pair: an ensemble has no recipe to take steps"),
        (
            {"datasets": {"new": "x"}, "runs": {"other": {"dataset": "new"}}},
            r"runs.other, splits.copied: \[copies\] does not say how many of new",
        ),
    ],
)
def test_what_a_profile_cannot_say_is_refused(content, message):
    with pytest.raises(SchemaError, match=message):
        change(**content)


def test_what_is_not_there_is_named_with_what_is(tmp_path):
    path = tmp_path / "mine.toml"
    with pytest.raises(SchemaError, match=r"mine.toml does not exist; built in are paper"):
        resolve(str(path))
    path.write_text("seed = ")
    with pytest.raises(SchemaError, match=r"mine.toml: Invalid value"):
        resolve(str(path))
    path.write_bytes("seed = 0\nname = 'Jos\u00e9'".encode("latin-1"))
    with pytest.raises(ValueError, match=r"mine.toml: line 2 is no UTF-8 text"):
        resolve(str(path))
    with pytest.raises(SchemaError, match=r"no profile 'fast'; it has paper.*path of a TOML file"):
        resolve("fast")
    with pytest.raises(SchemaError, match="no run 'nett'; it has net, net_best"):
        resolve().recipe_of("nett")
    with pytest.raises(SchemaError, match="pair is an ensemble of net, net_best: it has no recipe"):
        resolve().recipe_of("pair")
    for function in (resolve().plan, resolve().split):
        with pytest.raises(SchemaError, match="no split 'new'; it has published, copied"):
            function("new")


# ----------------------------------------------------------------------------- the papers' profiles

FOLDER = pathlib.Path(__file__).parents[2] / "docs" / "profiles"
PROFILES = [(key, name) for key in papers.KEYS for name in ("sample", "paper")]
PROFILES += [("farag2025", str(FOLDER / "cnmc-subset.toml"))]
PROFILES += [("patel2025", str(FOLDER / "cnmc-subset-finetuned.toml"))]


@pytest.mark.parametrize(("key", "name"), PROFILES)
def test_every_profile_can_be_run(key, name):
    card = papers.load(key)
    profile, runs = card.profile(name), card.plan(name)
    assert len({(run.split, run.name) for run in runs}) == len(runs)
    assert {"published", "leak-free"} <= {run.split for run in runs}
    for run in runs:
        assert run.data in profile.datasets.values()
        if run.recipe is not None:
            augmentation.check(run.recipe.augmentation)
            augmentation.check(run.recipe.distortion)
        if run.split == "leak-free":
            assert (run.table["split"], run.table.get("by")) == ("subject", None)
            assert run.table.get("validation") != "test" and run.table.get("augment") != "before"


def test_a_misspelled_run_is_another_one_of_which_nothing_says_how_it_is_made(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("[runs.cnmc-2019_densnet201_svm]\nmodels_kept = [0]\n")
    with pytest.raises(SchemaError, match=r"densnet201_svm: a recipe needs phases of training, or"):
        papers.load("farag2025").profile(str(path))


@pytest.mark.parametrize("key", papers.KEYS)
def test_every_printed_run_is_made_as_published_and_in_the_sample(key):
    card = papers.load(key)
    full, quick = card.plan("paper"), card.plan("sample")
    cells = card.cells().reindex(columns=card.run_keys).astype(object)
    if "variant" in cells:  # the plain network has none
        cells["variant"] = cells["variant"].fillna("")
    printed = set(cells.dropna().itertuples(index=False, name=None))
    published = [run.keys for run in full if run.split == "published"]
    made = {tuple(keys[name] for name in card.run_keys) for keys in published}
    assert printed and printed <= made
    left_out = card.profile("sample").leave_out
    own = card.profile("paper").variants  # the sample has its own
    full = [run for run in full if not run.name.endswith(tuple(own))]
    expected = {run.name for run in full if run.keys.get("backbone") not in left_out}
    assert expected <= {run.name for run in quick}
    recipes = {run.name: run.recipe for run in quick if run.recipe}
    for run in (run for run in full if run.name in recipes):
        brought = (models.weights.SYNTHETIC / f"{run.recipe.network}.safetensors").exists()
        assert brought or run.recipe.weights == "none"  # no download
        assert recipes[run.name].weights == ("synthetic" if brought else "none")
    for recipe in recipes.values():  # which is there, of this width
        assert models.weights_id(recipe.network, recipe.weights_source, 0, recipe.width)
    if key != "farag2025":
        runs = card.plan("paper")
        assert len(runs) == len(card.profile("paper").runs) * len(card.profile("paper").splits)


@pytest.mark.parametrize(
    ("key", "dataset", "sample", "training"),  # optimizer, epochs, learning rate, batch, side
    [
        ("patel2025", "cnmc-2019", "sample-cells", ("sgd", 50, 1e-4, 32, 224)),
        ("mishra", "all-2021", "sample-smears", ("adam", 25, 1e-3, 32, 224)),
        ("samhitha", "cnmc-2019", "sample-cells", ("adam", 60, 1e-3, 32, 224)),
        ("sultana", "all-2021", "sample-smears", ("adam", 25, 1e-4, 17, 132)),
    ],
)
def test_recipes_are_the_papers(key, dataset, sample, training):
    card = papers.load(key)
    assert card.profile("paper").datasets == {dataset: dataset}
    assert card.profile("sample").datasets == {dataset: sample}
    assert set(card.datasets) == {dataset}
    for recipe in (run.recipe for run in card.plan("paper") if run.recipe):
        begin = (recipe.optimizer, recipe.epochs, recipe.phases[0].learning_rate)
        assert (*begin, recipe.batch_size, recipe.image_size) == training


def test_farag_grid_and_counts():
    card = papers.load("farag2025")
    copies = card.profile("paper").copies
    assert copies["cnmc-2019"]["counts"] == {"healthy": 8000, "ALL": 8000}
    assert copies["all-idb2"]["counts"] == {"healthy": 750, "ALL": 750}
    networks = {run.recipe.network for run in card.plan("paper")}
    assert networks == set(card.cells()["backbone"].dropna())
    for name, image_size in [("paper", 224), ("sample", 112)]:
        recipe = card.recipe("all-idb2_densenet201_svm_segmented_augmented", name)
        assert recipe.image_size == image_size
        assert recipe.c == [0.1, 1, 10, 100, 1000]
        assert recipe.gamma == [1, 0.1, 0.01, 0.001, 0.0001]
        assert recipe.kernels == ["rbf", "poly"]
        assert recipe.segmentation == {"k": 3, "threshold": 141, "after_resizing": True}  # III.C, D
        (native,) = (
            run
            for run in card.plan(name, "published")
            if run.name == "all-idb2_densenet201_svm_segmented_augmented_native-size-segmentation"
        )
        assert native.recipe == recipe.replace(segmentation={"k": 3, "threshold": 141})


@pytest.mark.parametrize("key", ["farag2025", "mishra", "samhitha", "sultana"])
def test_pixels_are_divided_by_255_as_stated_and_once_more_as_the_weights_want_them(key):
    card = papers.load(key)
    plain, varied = {}, {}
    for run in card.plan("paper", "published"):
        is_varied = run.name.endswith(("_backbone-normalization", "_rescaled-once"))
        if not run.name.endswith(("-segmentation", "_highest-cluster", "_green-multi-otsu")):
            (varied if is_varied else plain)[run.name] = run
    assert {run.recipe.normalization for run in plain.values() if run.recipe} == {"unit"}
    for name, run in varied.items():
        stated = plain[name.rpartition("_")[0]]
        if run.recipe is not None:
            assert run.recipe == stated.recipe.replace(normalization="backbone")
    if key in ("farag2025", "sultana"):  # all that have weights
        scratch = {
            name for name, run in plain.items() if run.recipe and run.recipe.weights == "none"
        }
        assert {name.rpartition("_")[0] for name in varied} == plain.keys() - scratch
    (variant,) = (
        name
        for name, one in card.profile("sample").variants.items()
        if one.of and "normalization" in one.recipe
    )
    once = [run for run in card.plan("sample", "published") if run.name.endswith(variant)]
    assert len({run.recipe.network for run in once}) == 1  # a sample takes minutes
    assert {run.recipe.normalization for run in once} == {
        "unit" if variant == "divided-by-255" else "backbone"
    }


def test_patel_says_where_no_pretrained_weights_can_be_had():
    card = papers.load("patel2025")
    weights = {run.keys["model"]: run.recipe.weights for run in card.plan("paper")}
    without = {"shufflenet": "none", "googlenet": "none"}
    assert weights == {"vgg19": "imagenet", "resnet18": "imagenet"} | without
    recipe = card.recipe("vgg19", "paper")
    assert (recipe.new_layer_factor, recipe.phases[0].trainable) == (10, "all")
    assert card.split("published", "paper")["folds"] == 7


def test_samhitha_fine_tunes_efficientnet_and_20_layers_of_the_proposed_network():
    stated = {
        "efficientnetb0-attention": ["head", 20],
        "efficientnetb0": ["head", "all"],
    }  # IV.D, F
    for run in papers.load("samhitha").plan("paper"):
        trainable = [phase.trainable for phase in run.recipe.phases]
        assert trainable == stated.get(run.keys["model"], ["head"])
        once = run.keys["variant"] == "rescaled-once"
        assert run.recipe.normalization == ("backbone" if once else "unit")


def test_sultana_starts_full_training_from_scratch_and_freezes_what_is_pretrained():
    runs = papers.load("sultana").plan("paper", "published")
    ensemble, same = (run for run in runs if run.recipe is None)
    assert same.members == [f"{name}_backbone-normalization" for name in ensemble.members]
    assert list(ensemble.keys.values()) == ["all-2021", "dex", "ensemble"]
    assert ensemble.members == [run.name for run in runs if run.keys["variant"] == "member"]
    for run in runs:
        assert run.table["copies"] == {"each": 10}
        if run.recipe is not None:
            scratch, frozen = "full-training", "frozen-features"
            variant = run.keys["variant"]
            assert run.recipe.weights == ("none" if variant == scratch else "imagenet")
            assert (run.recipe.frozen, run.recipe.patience) == (variant.startswith(frozen), 10)
            if variant != scratch:  # global average and soft-max, as the card says
                assert run.recipe.head == "pooled"


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
        ("patel2025", C_NMC, "published-split", "the text"),
    ],
)
def test_the_published_split_gives_the_printed_counts(key, counts, split, table):
    card = papers.load(key)
    divided = splits.divide(whole_data_set(counts), card.split(split, "paper"))
    parts = dict(zip(("training", "validation", "test"), divided.folds[0], strict=True))
    printed = card.cells()
    printed = printed[printed["table"] == table]
    if key == "patel2025":
        printed = card.claims[(card.claims["split"] == "70/15/15") & card.claims["label"].notna()]
    printed = printed[(printed["quantity"] == "images") & printed["part"].isin(parts)]
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
