"""What a card asks for with trained networks; no network is trained here."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from leukkit import network_runs, papers, results
from leukkit.metrics import ensembles
from leukkit.training import Recipe

MEMBERS = {"densenet121": 0.7, "efficientnetb7": 0.1, "xception": 0.1}  # how sure they are
PARTS = {"predictions": 4, "validation_predictions": 2, "training_predictions": 3}


@pytest.fixture
def card():
    return papers.load("sultana")


@pytest.fixture
def profile(card):
    """Return the sample profile with the ensemble as its only run, under three folds."""
    profile = card.profile("sample")
    dex = {"dataset": "all-2021", "model": "dex", "variant": "ensemble"}
    return {**profile, "runs": [dex]}


@pytest.fixture
def small(card, profile):
    return dataclasses.replace(card, profiles={**card.profiles, "sample": profile})


def predictions(sureness, images, turned=False):
    """Return four classes: the first image is taken for the wrong one, the others are right."""
    classes = ("benign", "early", "pre", "pro")
    rows = []
    for number in range(images):
        label, said = classes[number % 4], classes[max(number, 1) % 4]
        rest = (1 - sureness) / 4
        rows.append(
            {"image_id": f"image-{number}", "subject": f"subject-{number}", "label": label}
            | {f"prob_{name}": rest + sureness * (name == said) for name in classes}
        )
    return pd.DataFrame(rows[::-1] if turned else rows)


def write_members(folder, protocol="published", folds=1, shift=0.0):
    """Write finished folds of the three members, as a training would have."""
    for order, (name, sureness) in enumerate(MEMBERS.items()):
        for fold in range(folds):
            run = {"dataset": "all-2021", "model": name, "variant": "member"}
            place = results.fold_dir(
                folder, "sultana", "sample", protocol, f"all-2021_{name}_member", fold
            )
            tables = {
                part: predictions(sureness + shift, images, turned=order == 1)
                for part, images in PARTS.items()
            }
            results.write_fold(
                place,
                {"run": run, "images": fold, "shift": shift},
                tables.pop("predictions"),
                folds=folds,
                tables=tables,
                seed=0,
                seconds=1,
                weights_used=f"drawn for {name}",
                images={"train": 3, "validation": 2, "test": 4},
            )


def test_a_plan_holds_recipes_of_the_profile_and_of_the_run(card):
    profile = card.profile("sample")
    special = {"dataset": "all-2021", "model": "xception", "variant": "x", "image_size": 71}
    plain = {"dataset": "all-2021", "model": "vgg19", "variant": "", "protocols": ["leak-free"]}
    dex = {"dataset": "all-2021", "model": "dex", "variant": "ensemble"}
    first, second, third = network_runs.plan(card, {**profile, "runs": [special, plain, dex]})
    assert isinstance(first.recipe, Recipe)
    assert (first.recipe.network, first.recipe.image_size) == ("xception", 71)
    assert second.recipe.image_size == profile["preparation"]["image_size"]
    assert second.recipe.batch_size == profile["training"]["batch_size"]
    assert first.protocols == tuple(profile["protocols"]) and second.protocols == ("leak-free",)
    assert (first.folder, second.folder) == ("all-2021_xception_x", "all-2021_vgg19")
    assert third.recipe is None
    assert first.keys == {"dataset": "all-2021", "model": "xception", "variant": "x"}


def test_networks_are_kept_as_the_profile_or_the_run_says(card):
    profile = {**card.profile("sample"), "models_kept": [0, 2]}
    run = {"dataset": "all-2021", "model": "vgg19", "variant": ""}
    first, second = network_runs.plan(card, {**profile, "runs": [run, run | {"models_kept": []}]})
    assert (first.models_kept, second.models_kept) == ((0, 2), ())


def test_planning_leaves_the_profile_as_it_is(card):
    before = [dict(entry) for entry in card.profile("sample")["runs"]]
    network_runs.plan(card, card.profile("sample"))
    assert card.profile("sample")["runs"] == before


def test_an_unknown_protocol_or_setting_names_the_run(card):
    profile = card.profile("sample")
    run = {"dataset": "all-2021", "model": "vgg19", "variant": ""}
    with pytest.raises(ValueError, match=r"'vgg19'.*unknown protocols \['by-day'\]"):
        network_runs.plan(card, {**profile, "runs": [run | {"protocols": ["by-day"]}]})
    with pytest.raises(TypeError, match="epochz"):
        network_runs.plan(card, {**profile, "runs": [run | {"epochz": 3}]})


def test_an_ensemble_is_put_together_from_its_members(small, profile, tmp_path):
    write_members(tmp_path)
    folders = network_runs.run(small, "sample", "published", results_dir=tmp_path)
    (this,) = network_runs.plan(small, profile)
    assert folders == [network_runs.folder(small, "sample", "published", this, tmp_path)]
    fold = folders[0] / "fold-0"
    for part, images in PARTS.items():
        frame = results.read_fold(fold, part)
        assert len(frame) == images
        mean = np.mean(list(MEMBERS.values()))  # all three say the same, more or less surely
        wrong = frame[frame["image_id"] == "image-0"]
        assert wrong["prob_early"].item() == pytest.approx((1 - mean) / 4 + mean)
    record = results.read_record(fold)
    assert record["configuration"]["run"] == this.keys
    assert record["weights_used"] == "; ".join(f"{name}: drawn for {name}" for name in MEMBERS)
    assert record["images"]["test"] == 4


def test_the_weights_come_from_validation_and_apply_to_the_test(small, tmp_path):
    write_members(tmp_path)
    (folder,) = network_runs.run(small, "sample", "published", results_dir=tmp_path)
    members = [
        predictions(sureness, PARTS["validation_predictions"]) for sureness in MEMBERS.values()
    ]
    chosen = ensembles.fit_weights(members)
    record = results.read_record(folder / "fold-0")
    np.testing.assert_allclose(list(record["selected"].values()), chosen)
    assert list(record["selected"]) == list(MEMBERS)
    weighted = results.read_fold(folder / "fold-0", "weighted_predictions")
    sure = chosen @ list(MEMBERS.values())
    assert weighted["prob_early"][0] == pytest.approx((1 - sure) / 4 + sure)


def test_every_fold_of_the_protocol_is_combined(small, profile, tmp_path):
    folds = profile["protocols"]["leak-free"]["folds"]
    write_members(tmp_path, "leak-free", folds)
    (folder,) = network_runs.run(small, "sample", "leak-free", results_dir=tmp_path)
    assert len(results.read_records(folder)) == folds > 1


def test_a_finished_ensemble_is_left_alone_and_another_one_is_refused(small, tmp_path):
    write_members(tmp_path)
    (folder,) = network_runs.run(small, "sample", "published", results_dir=tmp_path)
    before = (folder / "fold-0" / "fold.json").read_bytes()
    network_runs.run(small, "sample", "published", results_dir=tmp_path)
    assert (folder / "fold-0" / "fold.json").read_bytes() == before
    write_members(tmp_path, shift=0.05)
    with pytest.raises(results.ConfigurationError, match="different: members"):
        network_runs.run(small, "sample", "published", results_dir=tmp_path)
    assert (folder / "fold-0" / "fold.json").read_bytes() == before


def test_a_member_that_was_not_trained_is_named(small, tmp_path):
    with pytest.raises(FileNotFoundError, match="densenet121_member"):
        network_runs.run(small, "sample", "published", results_dir=tmp_path)


def test_runs_of_other_protocols_are_passed_over(small, profile, tmp_path):
    (dex,) = network_runs.plan(small, profile)
    here = dex._replace(protocols=("leak-free",))
    assert network_runs.run(small, "sample", "published", [here], tmp_path) == []


def test_leakage_is_measured_under_each_protocol(profile):
    shares = network_runs.leakage(profile, "all-2021")
    assert list(shares.index) == ["published", "leak-free"]
    assert shares.loc["published", "subject"] > 0.9  # of 148 images of 25 subjects, three in ten
    assert (shares.loc["leak-free", ["patient", "subject", "source_image", "original"]] == 0).all()
    assert shares.loc["leak-free", "test images"] == 148  # each image is tested once
    assert shares.loc["published", "original"] == 0  # split first, then augmented
