"""The comparison of all cards, on made-up results whose scores are counted by hand."""

import os
import re
import shutil

import pandas as pd
import pytest

from leukkit import metrics, models, papers
from leukkit.report import facts, overview
from tests.report.small_results import (
    FIRST,
    IDB,
    LEAKS,
    MACHINE,
    SECOND,
    SVM,
    history,
    planned,
    write,
)

# Scores of classifiers in the printed tables, counted in the papers. patel2025: 4 networks x 5
# scores, and Table 3. mishra: Table 3 2 x 2, Table 4 4 classes x 3 and the accuracy, Table 5.
# farag2025: Tables III 2 x 6, IV 6 x 6, V and VI 3 x 6, VII 6 x 6, VIII 2 x 6, IX 1, X 2.
# samhitha: Tables II 4 x 2, III 25 epochs x 2, IV 4 x 2 classes x 3. sultana: Tables 3 and 5 6 x 2,
# 4 and 6 6 networks x 4 classes x 3, 7 4 x 3. Beyond the tables: patel2025's two validation scores
# on Figure 8, farag2025's nine areas of Figure 14, samhitha's matrix of 2 x 2, sultana's 13 of
# 4 x 4 and two accuracies in sentences.
PRINTED = {
    "patel2025": 4 * 5 + 1 + 2,
    "mishra": 4 + 4 * 3 + 1 + 1,
    "farag2025": 12 + 36 + 18 + 18 + 36 + 12 + 1 + 2 + 9,
    "samhitha": 8 + 50 + 24 + 4,
    "sultana": 12 + 72 + 12 + 72 + 12 + 13 * 16 + 2,
}
VGG = planned("patel2025", "published", "vgg19")
LEAK_FREE = planned("patel2025", "leak-free", "vgg19")
ATTENTION = "efficientnetb0-attention"
GOOGLENET = {"table": "Table 2", "what": "GoogLeNet, test", "quantity": "accuracy"}
TABLE_3 = {"table": "Table 3", "paper": "patel2025"}  # the accuracy of VGG-19


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Results of two papers, of the honest benchmark, and one run that lacks a fold."""
    base = tmp_path_factory.mktemp("results")
    for fold, tested in enumerate((FIRST, SECOND)):
        leaks = {**LEAKS, "subject": 1.0, "source_image": None, "bytes": 0.5 - fold / 2}
        moment, machine = f"2026-11-2{fold}T23:30:00-02:00", MACHINE.replace("2 c", f"{2 + fold} c")
        write(base, VGG, tested, fold, 2, leaks, finished=moment, hardware=machine)
    write(base, planned("patel2025", "published-split", "googlenet"), SECOND)
    write(base, LEAK_FREE, FIRST, folds=2)
    svm, tables = planned("farag2025", "leak-free", SVM, "mine"), {"training_predictions": FIRST}
    unknown = dict.fromkeys(LEAKS)
    write(base, svm, SECOND, leaks=unknown, tables=tables, weights_used="random, seed 3")
    write(base, VGG.model_copy(update={"paper": "honest", "name": "patel2025_vgg19"}), FIRST)
    return base


@pytest.fixture(scope="module")
def cells(kept):
    return compared(kept)


def cell(frame, **keys):
    for name, value in keys.items():
        frame = frame[(frame[name] == value).fillna(False)]
    assert len(frame) == 1
    return frame.iloc[0]


def compared(base):
    return overview.cells(facts.runs(base), base)


def table_3(base, column):
    return cell(compared(base), **TABLE_3)[column]


def test_every_score_that_the_papers_printed_of_their_own_is_there_once(tmp_path):
    nothing = compared(tmp_path)
    assert nothing.groupby("paper", sort=False).size().to_dict() == PRINTED
    assert set(nothing["profile"]) == {""}
    assert set(nothing["reproduced status"]) == {"not run: no results of this paper"}
    assert nothing[["reproduced", "kept apart low"]].isna().all(axis=None)
    assert not nothing.duplicated(["paper", "table", "what", "quantity"]).any()
    counts = overview.counts(nothing)
    assert counts["printed"].tolist() == [*PRINTED.values(), sum(PRINTED.values())]
    assert (counts[["reproduced", "leak-free"]] == 0).all(axis=None)
    # counts and choices of a paper are no scores
    left = {quantity for key in papers.KEYS for quantity in papers.load(key).cells()["quantity"]}
    left -= set(nothing["quantity"])
    assert left == {"images", "support", "parameters", "layers", "epochs", "c", "gamma", "kernel"}


def test_values_stand_in_the_unit_of_the_print_beside_where_they_came_from(cells):
    accuracy = cell(cells, **TABLE_3)
    assert (accuracy["printed"], accuracy["value"]) == ("98.87", 98.87)
    assert accuracy["what"] == "VGG-19, test"
    assert accuracy["reproduced"] == pytest.approx(80)  # 3 + 5 of 10 images
    assert accuracy["reproduced status"] == "run"
    assert accuracy["reproduced folder"] == "patel2025/sample/published/vgg19"
    about = ["images", "groups", "groups_are", "folds", "minutes", "finished"]
    found = accuracy[[f"reproduced {name}" for name in about]].tolist()
    assert found == [10, 5, "subjects", 2, 1.0, "2026-11-22"]  # 21 November 23:30 in UTC-2
    both = pd.concat([FIRST.assign(fold=0), SECOND.assign(fold=1)])
    expected = 100 * metrics.jackknife(both).loc["accuracy"]
    found = accuracy[["reproduced low", "reproduced high"]].tolist()
    assert found == pytest.approx(expected[["low", "high"]].tolist())


@pytest.mark.parametrize("width", [80, 110])
def test_a_terminal_gets_each_accuracy_once_and_how_much_was_run(cells, width):
    lines = overview.as_text(cells[cells["paper"] == "patel2025"], width).splitlines()
    assert all(len(line) <= width for line in lines)
    text = " ".join(" ".join(lines).split())
    assert text.startswith("patel2025, profile sample: 6 of 23 printed scores reproduced, 0 leak-")
    # 3 + 5 of 10 images; the table's two rows of the same run and print are one
    expected = "published reproduced kept apart VGG-19, test 98.87 80.0 (31.0 to 97.3) not run"
    assert text.endswith(expected)


def test_where_data_sets_differ_in_what_is_kept_apart_each_line_says_it(tmp_path):
    unknown = {**LEAKS, "subject": None, "source_image": None}
    for name, leaks in ((SVM, LEAKS), (IDB, unknown)):
        write(tmp_path, planned("farag2025", "leak-free", name, "paper"), SECOND, leaks=leaks)
    cells = compared(tmp_path)
    head, names, *rows = overview.as_text(cells[cells["paper"] == "farag2025"], 140).splitlines()
    assert "0 of 144 printed scores reproduced, 12 leak-free, 11 by image; " in head
    assert names.endswith("kept apart")
    ends = {row.split(", ")[1]: row.rpartition(", ")[2] for row in rows}
    assert ends == {"ALL-IDB2": "by image", "C-NMC 2019": "leak-free"}


def test_a_terminal_gets_no_table_where_no_accuracy_was_run(tmp_path):
    write(tmp_path, LEAK_FREE, FIRST, folds=2)  # lacks a fold
    cells = compared(tmp_path)
    text = overview.as_text(cells[cells["paper"] == "patel2025"], 200)
    expected = "patel2025, profile sample: 0 of 23 printed scores reproduced, 0 leak-free"
    assert text.startswith(expected)
    assert "\n" not in text


def test_features_with_a_classifier_are_compared_under_a_profile_without_its_file(cells):
    what = "DenseNet-201 with SVM, C-NMC 2019, not segmented, augmented"
    here = cells[cells["profile"] == "mine"]
    accuracy = cell(here, table="Table VI", what=f"{what}, test", quantity="accuracy")
    assert accuracy["kept apart"] == pytest.approx(100 * 5 / 6)
    assert (accuracy["kept apart groups"], accuracy["kept apart folds"]) == (3, 1)
    assert pd.isna(accuracy["reproduced"]) and pd.isna(accuracy["reproduced folder"])
    training = cell(cells, table="Table III", what=f"{what}, training")
    assert training["kept apart"] == pytest.approx(75)
    assert (training["kept apart images"], pd.isna(training["kept apart low"])) == (4, True)
    assert set(cells.loc[cells["paper"] == "farag2025", "profile"]) == {"mine"}


@pytest.mark.parametrize(
    ("where", "side", "reason"),
    [
        (TABLE_3, "70/15/15 split", "no finished run of VGG-19"),
        (GOOGLENET, "reproduced", "the profile sample does not run GoogLeNet under the split"),
        ({"table": "Table IX"}, "kept apart", "no finished run of DenseNet-201 with SVM under"),
        ({"table": "Table 5", "paper": "mishra"}, "reproduced", "no results of this paper"),
        (
            TABLE_3,
            "kept apart",
            "its run cannot be used: patel2025/sample/leak-free/vgg19 has 1 of 2 folds; missing: "
            "fold-1",
        ),
    ],
)
def test_a_cell_that_was_not_run_says_why(cells, where, side, reason):
    assert cell(cells, **where)[f"{side} status"].startswith(f"not run: {reason}")


def test_runs_tell_when_where_and_from_what_and_what_is_wrong(kept):
    runs = facts.runs(kept)
    assert set(runs["paper"]) == {"patel2025", "farag2025", "honest"}
    published = cell(runs, folder="patel2025/sample/published/vgg19")
    assert (published["run"], published["folds"], published["weights"]) == ("vgg19", 2, "ImageNet")
    assert published["hardware"] == "Abacus, 2 cores, 24 GiB / Abacus, 3 cores, 24 GiB"
    assert published["versions"] == "Python 3.12.1, TensorFlow 2.21.0"
    assert (published["commit"], published["minutes"]) == ("abc", 1.0)
    assert (published["data"], published["network"]) == ("sample-cells", "VGG-19")
    assert (published["images"], published["subjects"]) == (10, 5)
    assert published["bytes"] == pytest.approx(0.5 * 4 / 10)  # of 4 and 6 images
    assert published["subject"] == 1 and pd.isna(published["source_image"])
    svm = cell(runs, paper="farag2025")
    assert svm["weights"] == "random, seed 3" and pd.isna(svm["subject"])
    broken = cell(runs, folder="patel2025/sample/leak-free/vgg19")
    assert "missing: fold-1" in broken["problem"] and broken["folds"] == 1
    assert broken[["minutes", "finished", "images", "subject"]].isna().all()
    assert runs["problem"].notna().sum() == 1


def test_runs_that_cannot_be_scored_do_not_stop_the_others(tmp_path):
    write(tmp_path, LEAK_FREE, FIRST.assign(subject="subject-1"))
    short = pd.DataFrame({"epoch": [1], "loss": [0.5]})
    write(tmp_path, planned("patel2025", "published-split", "googlenet"), FIRST)
    write(tmp_path, planned("mishra", "leak-free", "vgg16-cnn"), FIRST, tables={"history": short})
    write(tmp_path, VGG, FIRST)
    frame = compared(tmp_path)
    row = cell(frame, **TABLE_3)
    assert re.search("cannot be used.*the same group", row["kept apart status"])
    assert row["reproduced status"] == "run"
    status = cell(frame, paper="mishra", table="Table 5")["kept apart status"]
    assert "history.csv lacks accuracy" in status and str(tmp_path) not in status


def test_odd_folders_and_fields_are_told_and_all_else_is_scored(tmp_path):
    write(tmp_path, VGG, FIRST)
    odd = {
        "a-copy": lambda fold: shutil.copytree(fold, fold.with_name("fold-0 (copy)")),
        "b-folder": lambda fold: ((fold / "fold.json").unlink(), (fold / "fold.json").mkdir()),
        "i-only-a-copy": lambda fold: fold.rename(fold.with_name("fold-00")),
        "j-\ufffd": lambda fold: fold.parent.rename(fold.parents[1] / os.fsdecode(b"vgg19~j-\xff")),
    }
    for name, damage in odd.items():
        damage(write(tmp_path, VGG.model_copy(update={"name": f"vgg19~{name}"}), FIRST))
    (tmp_path / "patel2025" / "sample" / "published" / "vgg19" / "notes.txt").write_text("a file")
    (tmp_path / "patel2025" / "sample" / "published" / "notes.txt").write_text("a file")
    listed = facts.runs(tmp_path).set_index("run")["problem"]
    assert listed[listed.notna()].index.tolist() == [f"vgg19~{name}" for name in odd]
    assert table_3(tmp_path, "reproduced status") == "run"
    assert len(overview.own(facts.runs(tmp_path), tmp_path)) == 0


def test_a_variant_of_the_published_run_is_told_beside_it(tmp_path):
    write(tmp_path, planned("samhitha", "published", f"{ATTENTION}_rescaled-once"), FIRST)
    row = cell(compared(tmp_path), table="Table IV", printed="69", quantity="recall")
    assert row["reproduced status"].startswith("not run")
    assert row["variants"].startswith("rescaled-once 66.7 (")


def test_an_epoch_that_was_not_reached_and_a_variant_that_was_run_instead(tmp_path):
    tables = {"history": history([0.5, 0.75], [0.25, 0.5])}
    write(tmp_path, planned("samhitha", "published", ATTENTION), FIRST, tables=tables)
    write(tmp_path, planned("samhitha", "leak-free", f"{ATTENTION}_rescaled-once"), FIRST)
    frame = compared(tmp_path)
    network = "EfficientNet-B0 with attention"
    second = cell(frame, what=f"{network}, training, epoch 2")
    assert (second["printed"], second["reproduced"]) == ("87.2", 75)
    assert pd.isna(second["reproduced images"]) and pd.isna(second["reproduced low"])
    assert "'rescaled-once'" in second["kept apart status"] and second["variants"] == ""
    last = cell(frame, what=f"{network}, validation, epoch 60")
    assert last["reproduced status"] == "not run: its training ended with epoch 2"
    watched = cell(frame, table="Table II", what=f"{network}, validation")
    assert watched["reproduced status"] == (
        "not run: the run kept no predictions of its validation images"
    )


def test_what_a_run_does_otherwise_than_the_paper_states_is_named(cells):
    accuracy = cell(cells, **TABLE_3)
    changes = accuracy["reproduced changes"].split("; ")
    assert "split, folds: 3 (planned: 7)" in changes
    assert "weights: synthetic (planned: imagenet)" in changes
    assert "optimizer: " not in accuracy["reproduced changes"]  # as stated
    assert "software" in accuracy["deviations"].split("; ")  # MATLAB


def test_an_ensemble_names_the_networks_of_its_members(tmp_path):
    from leukkit import results

    names = ("xception_member", "densenet121_member", "vgg19_frozen-features")
    folders = [write(tmp_path, planned("sultana", "published", name), FIRST) for name in names]
    hashes = [results.read_record(folder).configuration_hash for folder in folders]
    dex = planned("sultana", "published", "dex_ensemble")
    write(tmp_path, dex, FIRST, changes={"members": hashes[:2]})
    run = cell(facts.runs(tmp_path), run="dex_ensemble")
    assert (run["data"], run["network"]) == ("sample-smears", "mean of DenseNet-121 / Xception")


def test_counts_are_per_profile_and_paper_and_of_all(cells, tmp_path):
    counts = overview.counts(cells).set_index(["profile", "paper"])
    sides = ["printed", "reproduced", "70/15/15 split", "leak-free"]
    assert counts.index[-1] == ("all", "all")
    assert counts.loc[("sample", "patel2025"), sides].tolist() == [23, 6, 5, 0]
    # SVM on augmented C-NMC: 2 cells of Table III, 1 of IV, 6 of VI, 1 of VIII, 2 of X, and the
    # area of Figure 14 (c)
    assert counts.loc[("mine", "farag2025"), ["leak-free", "by image"]].tolist() == [0, 13]
    assert counts.loc[("all", "all"), [*sides, "by image"]].tolist() == [661, 6, 5, 0, 13]
    for profile in ("sample", "mine"):  # what two profiles ran counts once among all
        write(tmp_path, LEAK_FREE.model_copy(update={"profile": profile}), FIRST)
    again = overview.counts(compared(tmp_path))
    assert again.iloc[-1].to_dict() == {
        **dict.fromkeys(("profile", "paper"), "all"),
        "printed": 661,
        "reproduced": 0,
        "leak-free": 6,
    }


def test_runs_of_ones_own_say_what_they_changed_and_enter_no_table(tmp_path):
    recipe = VGG.recipe.replace(image_size=96, batch_size=16)
    table = {**VGG.table, "folds": 5}
    mine = {"recipe": recipe, "table": table, "name": "vgg19~0123abcd", "keys": {}}
    write(tmp_path, VGG.model_copy(update=mine), FIRST)
    alone = {"paper": "own", "profile": "own", "name": "smears", "keys": {}}
    write(tmp_path, VGG.model_copy(update=alone), FIRST.assign(subject="one"))
    assert table_3(tmp_path, "reproduced status") == "not run: no results of this paper"
    own = overview.own(facts.runs(tmp_path), tmp_path).set_index("run")
    assert own.loc["vgg19~0123abcd", "changed"] == [
        "split, folds: 5 (planned: 3)",
        "image size: 96 (planned: 112)",
        "batch size: 16 (planned: 32)",
    ]
    assert own.loc["vgg19~0123abcd", "accuracy"].startswith("0.750 (")
    assert own.loc["smears", "changed"] == []
    assert own.loc["smears", "auc"].startswith("not scored: ")


def test_every_network_of_the_kit_and_of_the_cards_has_a_name():
    assert set(models.NAMES) <= set(facts.NAMES)
    for key in papers.KEYS:
        printed = papers.load(key).cells()
        for column in {"model", "backbone", "classifier", "dataset"} & set(printed):
            assert set(printed[column].dropna()) <= set(facts.NAMES)
        for run in papers.load(key).plan("paper"):
            if run.recipe is not None:
                assert isinstance(run.recipe.head, str)
                assert facts.name_network(run.recipe.record())
    record = {"network": "vgg19", "head": {"function": "__main__.thin"}}
    assert facts.name_network(record) == "VGG-19 with thin"
