"""The honest benchmark: what is run, divided, scored and ranked. No network is trained."""

import numpy as np
import pandas as pd
import pytest

from leukkit import benchmark, metrics, papers, plots, results, runs, splits
from leukkit.benchmark import leaderboard
from leukkit.metrics import calibration
from tests.report import small_results

PAPER = leaderboard.load("paper")
RUNS = {run.name: run for run in PAPER.plan("subject")}


@pytest.mark.parametrize("name", ["sample", "paper"])
def test_all_papers_have_methods_under_both_splits_each_run_with_a_folder_of_its_own(name):
    planned = leaderboard.load(name).plan()
    assert {run.keys["paper"] for run in planned} == set(papers.KEYS)
    assert {run.split for run in planned} == {"subject", "official"}
    folders = [str(runs.folder(run, "x")) for run in planned]
    assert len(set(folders)) == len(folders) and " " not in "".join(folders)


@pytest.mark.parametrize("paper", papers.KEYS)
def test_the_paper_profile_keeps_the_recipes_of_the_card(paper):
    """Epochs, sizes, optimizers and batches are the paper's; only split and images are others."""
    card, taken = papers.load(paper), {}
    for name, entry in benchmark.read_file("honest")["profiles"]["paper"]["runs"].items():
        if entry["paper"] == paper and "of" in entry:
            taken[entry["of"]] = name
    for of, name in taken.items():
        if name in RUNS:  # one is left out, and for own profiles
            recipe = card.recipe(of, "paper")
            if paper in ("farag2025", "sultana") and "full-training" not in of:
                recipe = recipe.replace(normalization="backbone")  # as the weights want them
            assert RUNS[name].recipe == recipe
    if paper != "farag2025":  # of which all methods are there that Table VI has on C-NMC
        planned = {run.name for run in card.plan("paper")}
        own = {name for name in planned if not name.endswith("_backbone-normalization")}
        assert own - {"dex_ensemble"} == set(taken)


def test_methods_name_what_a_profile_leaves_out():
    listed = leaderboard.methods("sample")
    left_out = set(listed["method"][~listed["in this profile"]])
    assert {"googlenet", "dex", "vgg19 + vgg_dense (full-training)"} <= left_out
    assert not {"vgg19 + vgg_dense", "resnet18"} & left_out
    assert leaderboard.methods("paper")["in this profile"].all()
    assert not listed.duplicated(["paper", "method"]).any()
    assert not listed["method"].str.contains("member").any()


@pytest.mark.parametrize("key", ["gap", "honest"])
def test_a_profile_with_a_wrong_key_is_refused(tmp_path, key):
    path = tmp_path / "mine.toml"
    run = next(iter(benchmark.load(key, "paper").runs))
    path.write_text(f"[runs.{run}]\nspeed = 1\n")
    with pytest.raises(papers.CardError, match=rf"mine\.toml: .*runs.{run}: unknown field speed"):
        benchmark.load(key, str(path))
    with pytest.raises(papers.CardError, match="no profile 'quick'; it has paper, sample"):
        benchmark.load(key, "quick")


def test_a_method_of_no_known_paper_is_refused_before_it_is_run(tmp_path):
    path = tmp_path / "mine.toml"
    run = next(iter(benchmark.load("honest", "sample").runs))
    new = 'model = "vgg16"\nimage_size = 32\nphases = [{ epochs = 1, learning_rate = 0.1 }]\n'
    for text, found in (
        (f'[runs.{run}]\npaper = "nobody2030"\n', f"runs.{run}: paper is 'nobody2030'"),
        (f"[runs.mine]\n{new}", "runs.mine: paper is None"),
    ):
        path.write_text(text)
        with pytest.raises(papers.CardError, match=rf"mine\.toml: {found}; .*sultana"):
            benchmark.load("honest", str(path))


# ----------------------------------------------------------------------------------- the two splits


def test_the_splits_of_the_sample_leak_nothing():
    divided = leaderboard.possible("sample")
    leaks = splits.leakage_shares(divided)
    assert list(leaks.index) == ["subject", "official"]
    assert (leaks[["patient", "subject", "source_image", "bytes"]] == 0).all(axis=None)
    assert leaks["test images"].to_dict() == {"subject": 449, "official": 131}
    phase, (fold,) = divided["official"].cells["split"], divided["official"].folds
    assert (phase.iloc[fold.test] == "preliminary").all()
    assert (phase.iloc[np.concatenate([fold.train, fold.validation])] == "training").all()
    parts = leaderboard.parts(divided)
    assert parts.loc["subject"].xs("test", level="part")["images"].sum() == 449
    counts = {"images": 131, "subjects": 10, "ALL": 73, "healthy": 58}
    assert parts.loc["official", 0, "test"].to_dict() == counts


def test_images_without_a_preliminary_phase_say_so(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('extends = "sample"\ndatasets = { cnmc-2019 = "sample-cells" }\n')
    assert leaderboard.problem(str(path), "subject") == ""
    assert "preliminary phase" in leaderboard.problem(str(path), "official")
    assert list(leaderboard.possible(str(path))) == ["subject"]
    with pytest.raises(splits.NoPhaseError, match="sample-cells: none of the 449 images"):
        leaderboard.run(str(path), "official", tmp_path)


SMALL = """
extends = "sample"
leave_out = ["patel2025", "mishra", "samhitha", "sultana", "*_rf", "*_xgboost", "*-scaled"]
[networks.densenet201]
network = "mobilenet-0.25"
[runs.farag2025_densenet201_svm]
width = 1.0
image_size = 32
weights = "none"
c = [1]
gamma = [0.001]
kernels = ["rbf"]
"""


def test_a_profile_of_your_own_runs_under_both_splits(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(SMALL)
    profile = str(path)
    for split, folds in (("subject", 2), ("official", 1)):
        (folder,) = leaderboard.run(profile, split, tmp_path)
        assert folder == tmp_path / "honest" / "mine" / split / "farag2025_densenet201_svm"
        leaks = [record.leakage for record in results.read_records(folder)]
        assert len(leaks) == folds
        assert all(one["subject"] == one["bytes"] == 0 for one in leaks)
    timed = leaderboard.time_methods(profile, tmp_path)
    assert list(timed["method"]) == ["mobilenet-0.25 + svm"]
    assert (timed["images"] == 32).all() and timed["seconds"].between(0, 5).all()
    measured = leaderboard.measure("mine", tmp_path)  # from the results alone
    assert measured.groupby("split")["images"].max().to_dict() == {"subject": 449, "official": 131}
    shown = leaderboard.leaderboard(measured, "official")["per image"]
    assert shown.str.fullmatch(r"0\.\d{3} s").all()
    (predictions,) = leaderboard.predictions("mine", "official", tmp_path).values()
    accuracy = measured.set_index(["split", "quantity"]).loc[("official", "accuracy"), "value"]
    assert accuracy == metrics.scores(predictions)["accuracy"]


# --------------------------------------------------------------------------------- scores and ranks


def predictions(wrong=()):
    """Return predictions of eight subjects with five cells; those in ``wrong`` are mistaken."""
    outcomes = []
    for subject in range(8):
        label, other = ("ALL", "healthy") if subject % 2 else ("healthy", "ALL")
        right = [subject not in wrong] * 5
        right[0] &= subject > 0  # one cell of subject 0 is mistaken
        outcomes += [(label, label if one else other) for one in right]
    frame = small_results.predictions(outcomes, sure=0.8)
    return frame.assign(subject=[f"P{number // 5}" for number in range(40)])


@pytest.fixture
def base(tmp_path):
    """Four methods by subject, one of them in two folds; one on the preliminary phase."""
    good, bad = predictions(), predictions(wrong=(1, 2))

    def write(name, frame, split="subject", **settings):
        (run,) = (run for run in PAPER.plan(split) if run.name == name)
        run = run.model_copy(update={"profile": "sample"})
        small_results.write(tmp_path, run, frame, **settings)

    svm = RUNS["farag2025_densenet201_svm"]
    recipe = svm.recipe.replace(network="mobilenet-0.25")
    changed = svm.model_copy(update={"profile": "sample", "recipe": recipe})
    small_results.write(tmp_path, changed, good)
    for fold in range(2):
        part = good.iloc[20 * fold : 20 * fold + 20]
        write("sultana_mobilenetv2_frozen-features", part, fold=fold, folds=2)
    write("sultana_xception_member", bad)
    write("sultana_dex", bad)
    write("patel2025_resnet18", bad)
    write("patel2025_resnet18", bad, split="official")
    return tmp_path


@pytest.fixture
def measured(base):
    return leaderboard.measure("sample", base)


def test_measured_values_are_those_of_the_kit(measured):
    here = measured[(measured["method"] == "resnet18") & (measured["split"] == "subject")]
    here, frame = here.set_index("quantity"), predictions(wrong=(1, 2))
    ends = metrics.jackknife(frame)
    for name in ("weighted_f1", "auc", "balanced_accuracy", "accuracy"):
        assert here.loc[name, "value"] == metrics.scores(frame)[name]
        assert tuple(here.loc[name, ["low", "high"]]) == tuple(ends.loc[name, ["low", "high"]])
    assert here.loc["patient_level_accuracy", "value"] == 6 / 8
    error = calibration.expected_calibration_error(frame)
    assert here.loc["calibration_error", "value"] == pytest.approx(error)
    assert (here["images"] == 40).all() and (here["groups"] == 8).all()


def test_methods_are_named_by_what_was_used_and_members_are_none(measured):
    assert set(zip(measured["paper"], measured["method"], strict=True)) == {
        ("patel2025", "resnet18"),
        ("farag2025", "mobilenet-0.25 + svm"),  # not densenet201, which it stands for
        ("sultana", "mobilenetv2 (frozen-features)"),
        ("sultana", "dex"),
    }
    folds = measured.set_index(["method", "split"])["folds"]
    assert set(folds["mobilenetv2 (frozen-features)", "subject"]) == {2}


def test_the_leaderboard_ranks_by_weighted_f1_and_lists_the_rest(base, measured):
    listed = leaderboard.methods("sample")
    nothing = leaderboard.leaderboard(leaderboard.measure("paper", base), "subject", listed)
    assert set(nothing["weighted F1"]) == {"not run", "not in this profile"}
    table = leaderboard.leaderboard(measured, "subject", listed)
    ranked = table[table.index != ""]
    assert list(ranked.index) == ["1", "1", "3", "3"]
    assert set(ranked["method"][:2]) == {"mobilenet-0.25 + svm", "mobilenetv2 (frozen-features)"}
    assert ranked["patient-level accuracy"].iloc[-1].startswith("6 of 8 (")
    assert set(ranked["tested on"]) == {"40 of 8"}
    assert ranked["the best"].iloc[0] == "is the best"
    # Equal to the best: a difference of 0. Two of eight subjects wrong: one of each class.
    assert ranked["the best"].iloc[1] == "not told apart, p = 1.000"
    assert set(ranked["the best"][2:]) == {"not told apart, p = 1.000"}
    assert set(table[table.index == ""]["weighted F1"]) == {"not run", "not in this profile"}
    assert list(leaderboard.leaderboard(measured, "official")["method"]) == ["resnet18"]


def test_methods_are_compared_with_the_best_in_pairs_corrected_for_their_number(base):
    good, bad = predictions(), predictions(wrong=range(7))
    run = RUNS["mishra_vgg16-cnn"].model_copy(update={"profile": "sample"})
    small_results.write(base, run, bad)
    measured = leaderboard.measure("sample", base)
    rows = measured[(measured["split"] == "subject") & (measured["quantity"] == "accuracy")]
    rows = rows.set_index("method")
    pair = metrics.difference(metrics.leave_out(good), metrics.leave_out(bad)).loc["accuracy"]
    row = rows.loc["vgg16 + convolutions"]
    ends = row[["behind", "behind low", "behind high"]].tolist()
    assert ends == pytest.approx(pair[["difference", "low", "high"]].tolist())
    assert row["p"] == pytest.approx(10 * pair["p"])  # the smallest of ten pairs, by Holm
    assert row["p"] < 0.05 and rows["behind"].isna().sum() == 1
    text = leaderboard.leaderboard(measured, "subject").set_index("method")["the best"]
    assert (
        text["vgg16 + convolutions"].startswith("0.")
        and " behind, p " in text["vgg16 + convolutions"]
    )
    assert "hollow: behind the best" in plots.leaderboard(measured, "subject").get_xlabel()
    other = bad.assign(subject=bad["subject"].replace("P7", "P8"))
    small_results.write(base, run, other)
    with pytest.raises(results.ResultsError, match="under 'subject' were tested on 8 and 8 subj"):
        leaderboard.measure("sample", base)


def test_seconds_are_shown_once_they_are_measured(base, measured):
    assert "per image" not in leaderboard.leaderboard(measured, "subject")
    timed = {"paper": "patel2025", "method": "resnet18", "seconds": 0.01234, "images": 32}
    not_missing = timed | {"method": "NA"}
    times = pd.DataFrame([timed, not_missing])
    times.to_csv(base / "honest" / "sample" / "seconds.csv", index=False)
    after = leaderboard.measure("sample", base)
    assert after.loc[after["quantity"] == "seconds_per_image", "method"].tolist()[-1] == "NA"
    shown = leaderboard.leaderboard(after, "subject").set_index("method")["per image"]
    assert shown["resnet18"] == "0.012 s"
    assert set(shown.drop("resnet18")) == {""}


def test_other_peoples_results_are_labeled_as_theirs(measured):
    others = leaderboard.references()
    assert others[["who", "quantity", "value", "split", "phase", "source"]].notna().all(axis=None)
    assert others["value"].between(0.8, 1).all()
    assert set(others["quantity"]) <= set(leaderboard.QUANTITIES)
    axes = plots.leaderboard(measured, "subject", references=others, title="made up")
    words = " ".join(text.get_text().replace("\n", " ") for text in axes.texts)
    assert "Other people's results" in words
    assert "0.925, official: training phase, tested on the preliminary phase" in words
    labels = [label.get_text().replace("\n", " ") for label in axes.get_yticklabels()]
    assert labels[0] == "mobilenet-0.25 + svm · farag2025"
    assert labels[-1].startswith("Prellberg")
    assert len(labels) == 4 + (others["quantity"] == "weighted_f1").sum()
    counted = plots.leaderboard(measured, "subject", "patient_level_accuracy", others)
    assert {"8 of 8", "6 of 8"} <= {text.get_text() for text in counted.texts}
    with pytest.raises(ValueError, match="no seconds_per_image was measured under 'official'"):
        plots.leaderboard(measured, "official", "seconds_per_image")
