"""The comparison of all cards, on made-up results whose scores are counted by hand."""

import json

import numpy as np
import pandas as pd
import pytest

from leukkit import metrics, models, papers, reproduction, results
from leukkit.report import names, overview

# Scores of classifiers in the printed tables, counted in the papers. patel2025: 4 networks x 5
# scores, and Table 3. mishra: Table 3 2 x 2, Table 4 4 classes x 3 and the accuracy, Table 5.
# farag2025: Tables III 2 x 6, IV 6 x 6, V and VI 3 x 6, VII 6 x 6, VIII 2 x 6, IX 1, X 2.
# samhitha: Tables II 4 x 2, III 25 epochs x 2, IV 4 x 2 classes x 3. sultana: Tables 3 and 5 6 x 2,
# 4 and 6 6 networks x 4 classes x 3, 7 4 x 3.
PRINTED = {
    "patel2025": 4 * 5 + 1,
    "mishra": 4 + 4 * 3 + 1 + 1,
    "farag2025": 12 + 36 + 18 + 18 + 36 + 12 + 1 + 2,
    "samhitha": 8 + 50 + 24,
    "sultana": 12 + 72 + 12 + 72 + 12,
}


def predictions(outcomes, first_subject=0):
    """Return one image per (label, predicted class); two images are of one subject."""
    rows = [
        {
            "image_id": f"image-{first_subject}-{number}",
            "subject": f"subject-{first_subject + number // 2}",
            "label": label,
            "prob_healthy": 0.9 if predicted == "healthy" else 0.1,
            "prob_ALL": 0.1 if predicted == "healthy" else 0.9,
        }
        for number, (label, predicted) in enumerate(outcomes)
    ]
    return pd.DataFrame(rows)


# True and false, positive and negative: 2 1 0 1 in the first fold, 1 0 1 4 in the second.
FIRST = predictions([("ALL", "ALL")] * 2 + [("ALL", "healthy"), ("healthy", "healthy")])
SECOND = predictions([("ALL", "ALL"), ("healthy", "ALL")] + [("healthy", "healthy")] * 4, 2)
SVM = reproduction.Run("cnmc-2019", "densenet201", "svm", segmentation=False, augmentation=True)


def write(base, place, run, tested, fold=0, folds=1, tables=None, configuration=None, **facts):
    """Write one finished fold; ``place`` is (paper, profile, protocol, folder of the run)."""
    if place[0] != "farag2025":
        facts = {"weights_used": "ImageNet", **facts}
    else:
        configuration = {"weights": "he-normal-1:3", **(configuration or {})}
    configuration = {"paper": place[0], "run": run, **(configuration or {})}
    folder = results.fold_dir(base, *place, fold)
    results.write_fold(
        folder, configuration, tested, folds=folds, seed=0, seconds=30.0, tables=tables, **facts
    )
    return folder


def change(folder, **values):
    record = json.loads((folder / "fold.json").read_text())
    (folder / "fold.json").write_text(json.dumps(record | values))


def fill(base):
    """Write results of two papers, of the honest benchmark, and one run that lacks a fold."""
    vgg = {"dataset": "cnmc-2019", "model": "vgg19", "variant": ""}
    leaks = {"patient": 1.0, "subject": 1.0, "source_image": None, "bytes": 0.5, "original": None}
    for fold, tested in enumerate((FIRST, SECOND)):
        folder = write(
            base,
            ("patel2025", "sample", "published", "cnmc-2019_vgg19"),
            vgg,
            tested,
            fold,
            folds=2,
            leakage={**leaks, "test_images": len(tested), "bytes": 0.5 - fold / 2},
        )
        machine = {"processor": "Abacus", "cores": 2 + fold, "memory": 23.5}
        change(folder, finished=f"2026-11-2{fold}T23:30:00-02:00", hardware=machine, commit="abc")
    split = ("patel2025", "sample", "published-split", "cnmc-2019_googlenet")
    write(base, split, {**vgg, "model": "googlenet"}, SECOND)
    broken = ("patel2025", "sample", "leak-free", "cnmc-2019_vgg19")
    write(base, broken, vgg, FIRST, folds=2)
    svm = ("farag2025", "mine", "leak-free", SVM.model)
    write(base, svm, SVM._asdict(), SECOND, tables={"training_predictions": FIRST})
    write(base, ("honest", "sample", "official", "mobilenet"), {"method": "x"}, FIRST)
    return base


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Results that no test changes."""
    return fill(tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="module")
def cells(kept):
    return overview.cells(kept, draws=200)


@pytest.fixture
def filled(tmp_path):
    """Results to change."""
    return fill(tmp_path)


def cell(frame, **keys):
    for name, value in keys.items():
        frame = frame[(frame[name] == value).fillna(False)]
    assert len(frame) == 1
    return frame.iloc[0]


def test_every_score_that_the_papers_printed_of_their_own_is_there_once(tmp_path):
    nothing = overview.cells(tmp_path)
    assert nothing.groupby("paper", sort=False).size().to_dict() == PRINTED
    assert set(nothing["profile"]) == {""}
    assert set(nothing["reproduced status"]) == {"not run: no results of this paper"}
    assert nothing[["reproduced", "leak-free low"]].isna().all(axis=None)
    assert not nothing.duplicated(["paper", "table", "what", "quantity"]).any()
    counts = overview.counts(nothing)
    assert counts["printed"].tolist() == [*PRINTED.values(), 436]
    assert (counts[["reproduced", "leak-free"]] == 0).all(axis=None)


def test_counts_and_choices_of_a_paper_are_no_scores(tmp_path):
    nothing = overview.cells(tmp_path)
    assert set(nothing["quantity"]) == set(overview.SCORES)
    left = {quantity for key in papers.KEYS for quantity in papers.load(key).cells()["quantity"]}
    left -= set(overview.SCORES)
    assert left == {"images", "support", "parameters", "layers", "epochs", "c", "gamma", "kernel"}


def test_values_stand_in_the_unit_of_the_print_beside_where_they_came_from(cells):
    accuracy = cell(cells, paper="patel2025", table="Table 3")
    assert (accuracy["printed"], accuracy["value"]) == ("98.87", 98.87)
    assert accuracy["what"] == "VGG-19, test"
    assert accuracy["reproduced"] == pytest.approx(80)  # 3 + 5 of 10 images
    assert accuracy["reproduced status"] == "run"
    assert accuracy["reproduced run"] == "patel2025/sample/published/cnmc-2019_vgg19"
    about = ["images", "groups", "groups are", "folds", "minutes", "finished"]
    found = accuracy[[f"reproduced {name}" for name in about]].tolist()
    assert found == [10, 5, "subjects", 2, 1.0, "2026-11-22"]  # 21 November 23:30 in UTC-2
    precision = cell(
        cells, paper="patel2025", table="Table 2", what="VGG-19, test", quantity="precision"
    )
    assert precision["reproduced"] == pytest.approx(75)


def test_intervals_are_those_of_the_bootstrap_over_subjects(cells):
    both = pd.concat([FIRST.assign(fold=0), SECOND.assign(fold=1)])
    expected = 100 * metrics.bootstrap(both, draws=200).loc["accuracy"]
    accuracy = cell(cells, paper="patel2025", table="Table 3")
    found = accuracy[["reproduced low", "reproduced high"]].tolist()
    assert found == pytest.approx(expected[["low", "high"]].tolist())


def test_features_with_a_classifier_are_compared_under_a_profile_without_its_file(cells):
    accuracy = cell(
        cells,
        table="Table VI",
        profile="mine",
        what="DenseNet-201 with SVM, C-NMC 2019, not segmented, augmented, test",
        quantity="accuracy",
    )
    assert accuracy["leak-free"] == pytest.approx(100 * 5 / 6)
    assert (accuracy["leak-free groups"], accuracy["leak-free folds"]) == (3, 1)
    assert pd.isna(accuracy["reproduced"]) and pd.isna(accuracy["reproduced run"])
    training = cell(
        cells,
        table="Table III",
        what="DenseNet-201 with SVM, C-NMC 2019, not segmented, augmented, training",
    )
    assert training["leak-free"] == pytest.approx(75)
    assert (training["leak-free images"], pd.isna(training["leak-free low"])) == (4, True)
    assert set(cells.loc[cells["paper"] == "farag2025", "profile"]) == {"mine"}


def test_the_second_published_protocol_has_a_side_of_its_own(cells):
    accuracy = cell(cells, table="Table 2", what="GoogLeNet, test", quantity="accuracy")
    assert accuracy["70/15/15 split"] == pytest.approx(100 * 5 / 6)
    assert accuracy["reproduced status"] == (
        "not run: the profile sample does not run GoogLeNet under published"
    )
    other = cells[cells["paper"] != "patel2025"]
    sides = [column for column in cells if column.startswith("70/15/15 split")]
    assert len(sides) == 16 and other[sides].isna().all(axis=None)


@pytest.mark.parametrize(
    ("where", "side", "reason"),
    [
        ({"table": "Table 3", "paper": "patel2025"}, "70/15/15 split", "no finished run of VGG-19"),
        ({"table": "Table IX"}, "leak-free", "no finished run of DenseNet-201 with SVM under"),
        ({"table": "Table 5", "paper": "mishra"}, "reproduced", "no results of this paper"),
    ],
)
def test_a_cell_that_was_not_run_says_why(cells, where, side, reason):
    assert cell(cells, **where)[f"{side} status"].startswith(f"not run: {reason}")


def test_an_unusable_run_is_listed_and_its_cells_say_what_is_wrong_with_it(kept, cells):
    accuracy = cell(cells, paper="patel2025", table="Table 3")
    problem = "patel2025/sample/leak-free/cnmc-2019_vgg19 has 1 of 2 folds; missing: fold-1"
    assert accuracy["leak-free status"].startswith(f"not run: its run cannot be used: {problem}")
    runs = overview.runs(kept)
    broken = cell(runs, run="patel2025/sample/leak-free/cnmc-2019_vgg19")
    assert broken["problem"].startswith(problem) and broken["folds"] == 1
    assert broken[["minutes", "finished", "images", "subject"]].isna().all()
    assert runs["problem"].notna().sum() == 1


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda path: path.unlink(), "No such file"),
        (lambda path: path.write_text(path.read_text().replace("0.9", "1.9")), "outside 0..1"),
        (lambda path: path.write_text(path.read_text().replace(",ALL,", ",AML,")), "a label that"),
    ],
)
def test_damaged_predictions_count_as_not_run(filled, damage, problem):
    place = "farag2025/mine/leak-free"
    damage(filled / place / SVM.model / "fold-0" / "predictions.csv")
    frame = overview.cells(filled, draws=10)
    status = cell(frame, table="Table IX")["leak-free status"]  # another run: untouched
    assert status.startswith("not run: no finished run")
    status = cell(frame, table="Table X", quantity="f1")["leak-free status"]
    assert problem in status and str(filled) not in status
    assert problem in cell(overview.runs(filled), run=f"{place}/{SVM.model}")["problem"]


def test_a_run_that_cannot_be_scored_does_not_stop_the_others(filled):
    alone = FIRST.assign(subject="subject-1")
    place = ("farag2025", "mine", "leak-free", SVM.model)
    write(filled, place, SVM._asdict(), alone, tables={"training_predictions": FIRST})
    frame = overview.cells(filled, draws=10)
    status = cell(frame, table="Table X", quantity="f1")["leak-free status"]
    assert "cannot be used" in status and "the same group" in status
    assert cell(frame, paper="patel2025", table="Table 3")["reproduced status"] == "run"


def test_a_run_without_keys_or_with_a_damaged_history_is_named(tmp_path):
    place = ("patel2025", "sample", "leak-free", "cnmc-2019_vgg19")
    write(tmp_path, place, {"model": "vgg19"}, FIRST)
    status = cell(overview.cells(tmp_path, draws=10), paper="patel2025", table="Table 3")[
        "leak-free status"
    ]
    assert status.endswith("its fold.json names no dataset, variant")
    keys = {"dataset": "cnmc-2019", "model": "vgg19", "variant": ""}
    tables = {"history": pd.DataFrame({"epoch": [1], "loss": [0.5]})}
    write(tmp_path, place, keys, FIRST, tables=tables)
    status = cell(overview.cells(tmp_path, draws=10), paper="patel2025", table="Table 3")[
        "leak-free status"
    ]
    assert "history.csv lacks accuracy" in status and str(tmp_path) not in status


def test_a_score_that_the_predictions_do_not_define_was_run(tmp_path):
    never = predictions([("ALL", "healthy"), ("healthy", "healthy")] * 2)
    keys = {"dataset": "cnmc-2019", "model": "vgg19", "variant": ""}
    write(tmp_path, ("patel2025", "sample", "leak-free", "cnmc-2019_vgg19"), keys, never)
    row = cell(
        overview.cells(tmp_path, draws=10),
        table="Table 2",
        what="VGG-19, test",
        quantity="precision",
    )
    assert row["leak-free status"] == "run" and np.isnan(row["leak-free"])


def test_an_epoch_that_was_not_reached_and_a_variant_that_was_run_instead(tmp_path):
    keys = {"dataset": "cnmc-2019", "model": "efficientnetb0-attention", "variant": ""}
    history = pd.DataFrame({"epoch": [1, 2], "accuracy": [0.5, 0.75], "loss": 1.0})
    history = history.assign(validation_accuracy=[0.25, 0.5], validation_loss=1.0)
    folder = "cnmc-2019_efficientnetb0-attention"
    place = ("samhitha", "sample", "published")
    write(tmp_path, (*place, folder), keys, FIRST, tables={"history": history})
    once = {**keys, "variant": "rescaled-once"}
    write(tmp_path, ("samhitha", "sample", "leak-free", f"{folder}_rescaled-once"), once, FIRST)
    frame = overview.cells(tmp_path, draws=10)
    network = "EfficientNet-B0 with attention"
    second = cell(frame, what=f"{network}, training, epoch 2")
    assert (second["printed"], second["reproduced"]) == ("87.2", 75)
    assert pd.isna(second["reproduced images"]) and pd.isna(second["reproduced low"])
    assert "'rescaled-once'" in second["leak-free status"]
    last = cell(frame, what=f"{network}, validation, epoch 60")
    assert last["reproduced status"] == "not run: its training ended with epoch 2"
    watched = cell(frame, table="Table II", what=f"{network}, validation")
    assert (
        watched["reproduced status"]
        == "not run: the run kept no predictions of its validation images"
    )


def test_runs_tell_when_where_and_from_what(kept):
    runs = overview.runs(kept)
    assert set(runs["paper"]) == {"patel2025", "farag2025", "honest"}
    published = cell(runs, run="patel2025/sample/published/cnmc-2019_vgg19")
    assert published["model"] == "cnmc-2019_vgg19"
    assert published["hardware"] == "Abacus, 2 cores, 24 GiB / Abacus, 3 cores, 24 GiB"
    assert (published["commit"], published["minutes"]) == ("abc", 1.0)
    assert "TensorFlow" in published["versions"] and " / " not in published["versions"]
    assert (published["images"], published["subjects"]) == (10, 5)
    assert published["bytes"] == pytest.approx(0.5 * 4 / 10)  # of 4 and 6 images
    assert published["subject"] == 1 and pd.isna(published["source_image"])
    assert published["weights"] == "ImageNet"
    svm = cell(runs, paper="farag2025")
    assert svm["weights"] == "random, seed 3" and pd.isna(svm["subject"])


def test_runs_and_cells_name_the_data_and_network_that_stood_in(tmp_path):
    keys = {"dataset": "cnmc-2019", "model": "vgg19", "variant": ""}
    place = ("patel2025", "mine", "leak-free", "cnmc-2019_vgg19")
    used = {"dataset": "sample-cells", "recipe": {"network": "mobilenet-0.25"}}
    write(tmp_path, place, keys, FIRST, configuration=used)
    run = overview.runs(tmp_path).iloc[0]
    assert (run["data"], run["network"]) == ("sample-cells", "MobileNet 0.25")
    row = cell(overview.cells(tmp_path, draws=10), paper="patel2025", table="Table 3")
    assert (row["what"], row["leak-free network"]) == ("VGG-19, test", "MobileNet 0.25")
    assert row["leak-free data"] == "sample-cells" and pd.isna(row["reproduced data"])


def test_an_ensemble_names_the_data_and_networks_of_its_members(tmp_path):
    members, place = [], ("sultana", "sample", "published")
    for model in ("xception", "densenet121", "vgg19"):
        keys = {"dataset": "all-2021", "model": model, "variant": "member"}
        used = {"dataset": "sample-smears", "recipe": {"network": model}}
        folder = write(tmp_path, (*place, f"{model}_member"), keys, FIRST, configuration=used)
        members.append(results.read_record(folder)["configuration_hash"])
    keys = {"dataset": "all-2021", "model": "dex", "variant": "ensemble"}
    used = {"members": members[:2]}
    write(tmp_path, (*place, "all-2021_dex_ensemble"), keys, FIRST, configuration=used)
    run = cell(overview.runs(tmp_path), model="all-2021_dex_ensemble")
    assert (run["data"], run["network"]) == ("sample-smears", "mean of DenseNet-121 / Xception")


def test_without_patients_the_groups_are_original_images(tmp_path):
    copies = FIRST.assign(subject=pd.NA, image_id=["a", "a#1", "b", "c"])
    keys = {"dataset": "cnmc-2019", "model": "vgg19", "variant": ""}
    write(tmp_path, ("patel2025", "sample", "leak-free", "cnmc-2019_vgg19"), keys, copies)
    run = overview.runs(tmp_path).iloc[0]
    assert (run["subjects"], run["groups are"]) == (3, "original images")


def test_counts_are_per_profile_and_paper_and_of_all(cells):
    counts = overview.counts(cells).set_index(["profile", "paper"])
    assert counts.index[-1] == ("all", "all")
    assert counts.loc[("sample", "patel2025")].tolist() == [21, 6, 0, 5]
    mine = counts.loc[("mine", "farag2025")]
    # SVM on augmented C-NMC: 2 cells of Table III, 1 of IV, 6 of VI, 1 of VIII, 2 of X
    assert (mine["printed"], mine["reproduced"], mine["leak-free"]) == (135, 0, 12)
    assert counts.loc[("all", "all")].tolist() == [436, 6, 12, 5]


def test_a_cell_that_two_profiles_ran_counts_once_among_all(filled):
    again = ("farag2025", "other", "leak-free", SVM.model)
    write(filled, again, SVM._asdict(), SECOND, tables={"training_predictions": FIRST})
    counts = overview.counts(overview.cells(filled, draws=10)).set_index(["profile", "paper"])
    assert counts.loc[("other", "farag2025"), "leak-free"] == 12
    assert counts.loc[("all", "all"), ["printed", "leak-free"]].tolist() == [436, 12]


def test_every_network_of_the_kit_and_of_the_cards_has_a_name():
    assert set(models.NAMES) <= set(names.NAMES)
    for key in papers.KEYS:
        printed = papers.load(key).cells()
        for column in {"model", "backbone", "classifier", "dataset"} & set(printed):
            assert set(printed[column].dropna()) <= set(names.NAMES)
