"""The honest benchmark: what is run, how it is divided, scored and ranked. Nothing is trained."""

import numpy as np
import pandas as pd
import pytest

from leukkit import (
    honest,
    metrics,
    papers,
    plots,
    protocols,
    results,
)
from leukkit.honest import catalog, scores
from leukkit.metrics import calibration
from leukkit.papers import CardError
from leukkit.training import Recipe

PAPER, SAMPLE = honest.load("paper"), honest.load("sample")


def sections(profile):
    return {(name, paper) for name in catalog.SECTIONS for paper in profile[name]}


def test_both_profiles_hold_all_five_papers_and_the_same_keys():
    assert PAPER.keys() == SAMPLE.keys()
    assert PAPER["protocols"].keys() == SAMPLE["protocols"].keys() == set(honest.PROTOCOLS)
    assert sections(PAPER) == sections(SAMPLE)
    assert {paper for _, paper in sections(PAPER)} == set(papers.KEYS)


@pytest.mark.parametrize("profile", ["sample", "paper"])
def test_every_method_can_be_built_from_its_recipe(profile):
    numbers = honest.load(profile)
    folders = []
    for (section, _), card in catalog.cards(numbers).items():
        for this in catalog.plan(section, card):
            folders.append(this.folder if section == "networks" else this.model)
            if section == "networks" and this.recipe is not None:
                assert isinstance(this.recipe, Recipe)
        for table in card.numbers["protocols"].values():
            protocols.protocol_tables.check(table)
    assert len(set(folders)) == len(folders)
    assert not any(" " in folder for folder in folders)


def test_the_paper_profile_keeps_the_recipes_of_the_cards():
    """Epochs, sizes, optimizers and batches are the papers'; only the protocol is another."""
    for paper, part in PAPER["networks"].items():
        card = papers.load(paper).profile("paper")
        assert part["training"] == card["training"]
        assert part["preparation"] == card["preparation"]
        printed = [{k: v for k, v in run.items() if k != "dataset"} for run in card["runs"]]
        own = [run for run in printed if run.get("normalization") is None or paper == "samhitha"]
        assert sorted(map(str, part["runs"])) == sorted(map(str, own))
    features, card = PAPER["features"]["farag2025"], papers.load("farag2025").profile("paper")
    for key in ("image_size", "weights", "c", "gamma", "kernels", "grid_folds", "segmentation"):
        assert features[key] == card[key]
    table = papers.load("farag2025").cells()
    table = table[table["table"] == "Table VI"]
    printed = set(table[["classifier", "segmentation", "augmentation"]].itertuples(index=False))
    assert {tuple(row) for row in printed} == {
        (run["classifier"], run["segmentation"], run["augmentation"]) for run in features["runs"]
    }


def test_methods_name_what_a_profile_leaves_out():
    listed = honest.methods("sample")
    left_out = listed[~listed["in this profile"]]
    assert {"vgg19", "dex", "vgg19 (full-training)"} <= set(left_out["method"])
    assert honest.methods("paper")["in this profile"].all()
    assert not listed.duplicated(["paper", "method"]).any()
    assert not listed["method"].str.contains("member").any()


def test_a_profile_of_your_own_has_the_same_keys(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("seed = 0\nspeed = 1\n")
    with pytest.raises(CardError, match=r"mine\.toml.*missing: .*protocols.*unknown: speed"):
        honest.load(str(path))
    with pytest.raises(CardError, match="no profile 'quick'"):
        honest.load("quick")


def test_a_section_with_a_missing_key_is_named(monkeypatch):
    broken = {**SAMPLE, "networks": {"mishra": {"copies": {}, "runs": []}}}
    everything = {"profiles": {"sample": broken, "paper": PAPER}}
    monkeypatch.setattr(catalog, "read_file", lambda: everything)
    with pytest.raises(CardError, match=r"\[networks\.mishra\].*ensemble.*training"):
        honest.load("sample")


# -------------------------------------------------------------------------------- the two protocols


def test_the_protocols_of_the_sample_leak_nothing(cache_dir):
    leaks = honest.leakage("sample")
    assert list(leaks.index) == ["subject", "official"]
    assert (leaks[["patient", "subject", "source_image", "bytes"]] == 0).all().all()
    assert leaks["test images"].to_dict() == {"subject": 449, "official": 131}
    official = honest.divide("sample", "official")
    phase = official.cells["split"]
    (fold,) = official.folds
    assert (phase.iloc[fold.test] == "preliminary").all()
    assert (phase.iloc[np.concatenate([fold.train, fold.validation])] == "training").all()
    parts = honest.parts("sample")
    assert parts.loc["subject"].xs("test", level="part")["images"].sum() == 449
    assert parts.loc[("official", 0, "test")].to_dict() == {
        "images": 131,
        "subjects": 10,
        "ALL": 73,
        "healthy": 58,
    }


def test_images_without_a_preliminary_phase_say_so(cache_dir, monkeypatch):
    plain = {**SAMPLE, "datasets": {"cnmc-2019": "sample-cells"}}
    monkeypatch.setattr(honest, "load", lambda name: plain)
    assert honest.problem("sample", "subject") == ""
    assert "preliminary phase" in honest.problem("sample", "official")
    assert list(honest.leakage("sample").index) == ["subject"]
    with pytest.raises(honest.NoPhaseError, match="sample-cells: none of the 449 images"):
        honest.run("sample", "official")


# -------------------------------------------------------------------------------- from end to end

SMALL = """
datasets = { cnmc-2019 = "sample-phases" }
seed = 0
jobs = 1
bootstrap_draws = 50
models_kept = []
networks = {}
[protocols]
subject = { split = "subject", folds = 2, validation = 0.15 }
official = { split = "official", validation = 0.15 }
[features.farag2025]
image_size = 32
weights = "none"
normalization = "backbone"
segmentation = { k = 3, threshold = 141 }
counts = { cnmc-2019 = { healthy = 300, ALL = 300 } }
grid_folds = 2
c = [1]
gamma = [0.001]
kernels = ["rbf"]
backbones = { densenet201 = "mobilenet-0.25" }
runs = [
  { backbone = "densenet201", classifier = "svm", segmentation = false, augmentation = false },
]
"""


def test_a_profile_of_your_own_runs_under_both_protocols(tmp_path, cache_dir):
    profile = tmp_path / "mine.toml"
    profile.write_text(SMALL)
    for protocol, folds in (("subject", 2), ("official", 1)):
        (folder,) = honest.run(str(profile), protocol, tmp_path)
        assert folder == (tmp_path / "honest" / "mine" / protocol / "cnmc-2019_densenet201_svm")
        records = results.read_records(folder)
        assert len(records) == folds
        for record in records:
            assert record["leakage"]["subject"] == record["leakage"]["bytes"] == 0
    timed = honest.time_methods(str(profile), tmp_path)
    assert list(timed["method"]) == ["mobilenet-0.25 + svm"]
    assert (timed["images"] == 32).all() and timed["seconds"].between(0, 5).all()
    measured = honest.measure("mine", tmp_path, draws=50)  # from the results alone
    images = measured.groupby("protocol")["images"].max().to_dict()
    assert images == {"subject": 449, "official": 131}
    assert honest.leaderboard(measured, "official")["per image"].str.fullmatch(r"0\.\d{3} s").all()
    predictions = honest.read("mine", "official", tmp_path)["farag2025", "mobilenet-0.25 + svm"]
    accuracy = measured.set_index(["protocol", "quantity"]).loc[("official", "accuracy"), "value"]
    assert accuracy == metrics.scores(predictions)["accuracy"]


# --------------------------------------------------------------------------------- scores and ranks


def predictions(people=8, cells=5, sureness=0.8, wrong=()):
    """Return predictions of two classes; all cells of the people in ``wrong`` are mistaken."""
    rows = []
    for subject in range(people):
        label = ("healthy", "ALL")[subject % 2]
        for cell in range(cells):
            right = subject not in wrong and (cell or subject)  # one cell of subject 0 is mistaken
            sick = sureness if (label == "ALL") == bool(right) else 1 - sureness
            rows.append(
                {"image_id": f"{subject}-{cell}", "subject": f"P{subject}", "label": label}
                | {"prob_healthy": 1 - sick, "prob_ALL": sick}
            )
    return pd.DataFrame(rows)


def write(folder, run, frame, *, protocol="subject", folds=1, fold=0, **configuration):
    name = results.run_name(run)
    place = results.fold_dir(folder, "honest", "sample", protocol, name, fold)
    facts = {"run": run, **configuration}
    results.write_fold(place, facts, frame, folds=folds, seed=0, seconds=1, weights_used="drawn")


def network(paper, model, variant=""):
    variant = "-".join(filter(None, (paper, variant)))
    return {"dataset": "cnmc-2019", "model": model, "variant": variant}


@pytest.fixture
def results_dir(tmp_path):
    good, bad = predictions(), predictions(wrong=(1, 2))
    resnet = {"recipe": {"network": "resnet18"}}
    write(tmp_path, network("patel2025", "resnet18"), bad, **resnet)
    svm = {"dataset": "cnmc-2019", "backbone": "densenet201", "classifier": "svm"}
    write(tmp_path, svm, good, backbone="mobilenet-0.25")
    for fold in range(2):
        part = good[good["subject"].isin([f"P{4 * fold + n}" for n in range(4)])]
        run = network("sultana", "vgg19", "frozen-features")
        write(tmp_path, run, part, folds=2, fold=fold, recipe={"network": "vgg19"})
    member = {"dataset": "cnmc-2019", "model": "xception", "variant": "member"}
    write(tmp_path, member, bad, recipe={"network": "xception"})
    write(tmp_path, {**member, "model": "dex", "variant": "ensemble"}, bad)
    write(tmp_path, network("patel2025", "resnet18"), bad, protocol="official", **resnet)
    return tmp_path


def test_measured_values_are_those_of_the_kit(results_dir):
    measured = honest.measure("sample", results_dir, draws=200)
    here = measured[(measured["method"] == "resnet18") & (measured["protocol"] == "subject")]
    here = here.set_index("quantity")
    frame = predictions(wrong=(1, 2))
    drawn = metrics.bootstrap(frame, draws=200)
    for name in ("weighted_f1", "auc", "balanced_accuracy", "accuracy"):
        assert here.loc[name, "value"] == metrics.scores(frame)[name]
        assert tuple(here.loc[name, ["low", "high"]]) == tuple(drawn.loc[name, ["low", "high"]])
    assert here.loc["patient_level_accuracy", "value"] == 6 / 8
    error = calibration.expected_calibration_error(frame)
    assert here.loc["calibration_error", "value"] == pytest.approx(error)
    assert (here["images"] == 40).all() and (here["subjects"] == 8).all()


def test_methods_are_named_by_what_was_used_and_members_are_none(results_dir):
    measured = honest.measure("sample", results_dir, draws=20)
    assert set(zip(measured["paper"], measured["method"], strict=True)) == {
        ("patel2025", "resnet18"),
        ("farag2025", "mobilenet-0.25 + svm"),  # not densenet201, which it stands for
        ("sultana", "vgg19 (frozen-features)"),
        ("sultana", "dex"),
    }
    folds = measured.set_index(["method", "protocol"])["folds"]
    assert set(folds["vgg19 (frozen-features)", "subject"]) == {2}


def test_nothing_run_is_an_empty_frame(tmp_path):
    measured = honest.measure("sample", tmp_path)
    assert len(measured) == 0
    table = honest.leaderboard(measured, "subject", honest.methods("sample"))
    assert set(table["weighted F1"]) == {"not run", "not in this profile"}


def test_the_leaderboard_ranks_by_weighted_f1_and_lists_the_rest(results_dir):
    measured = honest.measure("sample", results_dir, draws=20)
    table = honest.leaderboard(measured, "subject", honest.methods("sample"))
    ranked = table[table.index != ""]
    assert list(ranked.index) == ["1", "1", "3", "3"]
    assert set(ranked["method"][:2]) == {"mobilenet-0.25 + svm", "vgg19 (frozen-features)"}
    assert ranked["subjects right"].iloc[-1].startswith("6 of 8: 0.750 (")
    assert set(ranked["tested on"]) == {"40 of 8"}
    assert set(table[table.index == ""]["weighted F1"]) == {"not run", "not in this profile"}
    official = honest.leaderboard(measured, "official")
    assert list(official["method"]) == ["resnet18"]


def test_seconds_are_shown_once_they_are_measured(results_dir):
    before = honest.leaderboard(honest.measure("sample", results_dir, draws=20), "subject")
    assert "per image" not in before
    timed = pd.DataFrame(
        [{"paper": "patel2025", "method": "resnet18", "seconds": 0.01234, "images": 32}]
    )
    timed.to_csv(scores.seconds_file("sample", results_dir), index=False)
    after = honest.leaderboard(honest.measure("sample", results_dir, draws=20), "subject")
    assert after.set_index("method")["per image"].to_dict() == {
        "resnet18": "0.012 s",
        "dex": "",
        "mobilenet-0.25 + svm": "",
        "vgg19 (frozen-features)": "",
    }


def test_other_peoples_results_are_labelled_as_theirs(results_dir):
    others = honest.references()
    assert others[["who", "quantity", "value", "split", "phase", "source"]].notna().all().all()
    assert others["value"].between(0.8, 1).all()
    assert set(others["quantity"]) <= set(honest.QUANTITIES)
    measured = honest.measure("sample", results_dir, draws=20)
    assert set(measured["method"]).isdisjoint(others["who"])
    axes = plots.leaderboard(measured, "subject", references=others, title="made up")
    words = " ".join(text.get_text().replace("\n", " ") for text in axes.texts)
    assert "Other people's results" in words
    assert "0.925, official: training phase, tested on the preliminary phase" in words
    labels = [label.get_text().replace("\n", " ") for label in axes.get_yticklabels()]
    assert labels[0] == "mobilenet-0.25 + svm · farag2025"
    assert labels[-1].startswith("Prellberg")
    assert len(labels) == 4 + (others["quantity"] == "weighted_f1").sum()


def test_a_figure_of_nothing_says_what_there_is(results_dir):
    measured = honest.measure("sample", results_dir, draws=20)
    with pytest.raises(ValueError, match="no seconds_per_image was measured under 'official'"):
        plots.leaderboard(measured, "official", "seconds_per_image")
