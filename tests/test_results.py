"""What lies on disk: whole or not at all, of one run, and of this version."""

import json
import re

import filelock
import numpy as np
import pandas as pd
import pytest

from leukkit import metrics, papers, results, splits
from leukkit.schemas import Recipe, SplitTable

RECIPE = Recipe(network="mobilenetv2", image_size=32, classifier="rf")
FOLD = splits.Fold(np.array([0, 1]), np.array([], int), np.array([2, 3]))


def make_split(folds=1, **table):
    cells = pd.DataFrame(
        {
            "image_id": ["001", "002", "003", "004"],
            "label": ["healthy", "ALL", "ALL", "healthy"],
            "patient": ["20", "7", "21", "8"],
            "subject": ["20+21", "7", "20+21", pd.NA],
            "source_image": pd.NA,
            "sha256": ["a", "b", "c", "d"],
        }
    )
    cells.attrs = {"dataset": "little", "classes": ("healthy", "ALL")}
    known = {"split": "stratified", "folds": 2, "name": "leak-free"}
    return splits.Split(cells, [FOLD] * folds, [], SplitTable(**known, **table), 0)


PREDICTIONS = pd.DataFrame(
    {
        "image_id": ["003", "004"],
        "subject": ["20+21", pd.NA],
        "label": ["ALL", "healthy"],
        "prob_healthy": [0.25, 0.5],
        "prob_ALL": [0.75, 0.5],
    }
)


def place(folder, folds=1, seed=0, recipe=RECIPE):
    return results.place(make_split(folds), recipe, "run", seed, base=folder)


def write(folder, folds=1, seed=0, predictions=PREDICTIONS, numbers=None):
    """Write some folds of a run, and return its folder."""
    found = place(folder, folds, seed)
    for number in range(folds) if numbers is None else numbers:
        results.write_fold(
            found.fold(number),
            found.folds[number],
            make_split(folds),
            number,
            {"predictions": predictions},
            seconds=1.23456,
            selected={"C": 10},
        )
    return found.folder


def test_a_fold_is_done_and_read_only_after_fold_json(tmp_path):
    found = place(tmp_path)
    for number in (0, 1):
        found.fold(number).mkdir(parents=True)
        PREDICTIONS.to_csv(found.fold(number) / "predictions.csv")
    assert place(tmp_path).missing == [0]
    with pytest.raises(FileNotFoundError, match="leukkit reproduce"):
        results.read_table(found.folder)
    write(tmp_path)
    assert place(tmp_path).missing == []
    assert set(results.read_table(found.folder)["fold"]) == {0}


def test_what_a_run_depends_on_is_in_its_name_and_where_it_comes_from_is_not(tmp_path):
    found = [
        place(tmp_path),
        place(tmp_path, seed=1),
        place(tmp_path, recipe=RECIPE.replace(scaled=True)),
        results.place(make_split(validation=0.1), RECIPE, "run", 0, base=tmp_path),
    ]
    names = {one.folder.name for one in found}
    assert len(names) == 4 and all(name.startswith("run~") for name in names)
    elsewhere = results.place(make_split(profile="x/mine.toml"), RECIPE, "run", 0, base=tmp_path)
    assert elsewhere.folder == tmp_path / "own" / "mine" / "leak-free" / found[0].folder.name
    assert elsewhere.models_kept == [0]
    assert [one.folds[0].weights for one in found[:2]] == ["he-normal-1:0", "he-normal-1:1"]


@pytest.mark.parametrize(
    "change",
    [{}, {"batch_size": 16}, {"folds": 7}, {"seed": 1}, {"draw": 1}, {"data": "sample-idb"}],
)
def test_a_planned_run_has_its_plain_name_and_a_changed_one_has_not(tmp_path, change):
    card, is_planned = papers.load("patel2025"), not change
    recipe = card.recipe("vgg19", "sample")
    recipe = recipe.replace(batch_size=change.get("batch_size", recipe.batch_size))
    table = card.split("leak-free", "sample")
    table = SplitTable(**table | {"folds": change.get("folds", table["folds"])})
    cells, seed = make_split().cells, change.get("seed", 0)
    cells.attrs["dataset"] = change.get("data", "sample-cells")
    split = splits.Split(cells, [FOLD], [], table, seed + change.get("draw", 0))
    found = results.place(split, recipe, "vgg19", seed, base=tmp_path)
    assert found.folder.parent == tmp_path / "patel2025" / "sample" / "leak-free"
    assert (found.folder.name == "vgg19") == is_planned
    keys = {"dataset": "cnmc-2019", "model": "vgg19", "variant": ""}
    assert found.folds[0].keys == (keys if is_planned else {})
    assert found.folds[0].draw == change.get("draw", 0)


def test_a_finished_fold_with_other_images_is_kept_and_named(tmp_path):
    write(tmp_path)
    split = make_split()
    for other in "efgh":
        split.cells["sha256"] = ["a", "b", "c", other]
        with pytest.raises(
            results.ConfigurationError, match=r"different: images\.test\).*--results-dir"
        ):
            results.place(split, RECIPE, "run", 0, base=tmp_path)
    assert place(tmp_path).missing == []


def test_an_ensemble_says_which_members_it_is_made_of(tmp_path):
    members = [["a", "b"], ["c", "d"]]
    mean = results.place(make_split(2), None, "mean", 0, members=members, base=tmp_path)
    assert [fold.members for fold in mean.folds] == members
    assert mean.folds[0].weights == "" and mean.folds[0].recipe is None


def test_predictions_come_back_as_written_with_ids_as_text(tmp_path):
    table = results.read_table(write(tmp_path, folds=11))
    assert table["fold"].tolist() == [number for number in range(11) for _ in range(2)]
    assert table["image_id"].tolist() == ["003", "004"] * 11
    assert table["subject"].isna().tolist() == [False, True] * 11
    assert table["prob_ALL"].tolist() == [0.75, 0.5] * 11


def test_a_subject_called_na_is_a_subject(tmp_path):
    named = PREDICTIONS.assign(subject=["NA", "null"])
    table = results.read_table(write(tmp_path, predictions=named))
    assert table["subject"].tolist() == ["NA", "null"]
    assert metrics.groups(table)[1] == "subjects"


def test_folds_that_are_not_all_those_of_one_run_are_refused_and_listed(tmp_path):
    folder, other = write(tmp_path, folds=3), write(tmp_path / "other", folds=3, seed=1)

    def refused(message, finished=3):
        with pytest.raises(results.ResultsError, match=message):
            results.read_table(folder)
        listed = results.runs(tmp_path, "own").iloc[0]
        assert re.search(message, listed["problem"]) and listed["folds"] == finished

    (folder / "fold-1").rename(folder / "fold-3")
    refused("3 of 3 folds; missing: fold-1")
    write(tmp_path, folds=3, numbers=[1])
    refused("holds fold-3, but its run has 3 folds", finished=4)
    (folder / "fold-3").rename(tmp_path / "fold-3")
    assert len(results.read_table(folder)) == 6
    (folder / "fold-2").rename(tmp_path / "fold-2")
    refused("2 of 3 folds; missing: fold-2", finished=2)
    (other / "fold-2").rename(folder / "fold-2")
    refused("fold-0 and fold-2 differ in .*seed")
    (folder / "fold-2").rename(tmp_path / "other-seed")
    (write(tmp_path / "more", folds=4) / "fold-2").rename(folder / "fold-2")
    refused("fold-0 and fold-2 differ in folds")
    folder.rename(folder.with_name("run"))  # as a planned run is called
    with pytest.raises(results.ResultsError, match="fold-0 and fold-2"):
        results.find(tmp_path, "own", "own")


@pytest.mark.parametrize("old", [None, 2])
def test_results_of_an_older_version_are_kept_and_named(tmp_path, old):
    fold = write(tmp_path) / "fold-0"
    record = json.loads((fold / "fold.json").read_text())
    del record["format"]
    (fold / "fold.json").write_text(json.dumps(record | ({"format": old} if old else {})))
    for ask in (lambda: results.read_record(fold), lambda: place(tmp_path)):
        with pytest.raises(results.ResultsError, match=r"format \d.*called identity.*kept"):
            ask()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda record: record[:20], "is no JSON"),
        (lambda record: "[]", "Input should be a valid dictionary"),
        (lambda record: '{"format": 3}', "missing field configuration_hash"),
        (lambda record: record.replace('"folds": 1', '"folds": "one"'), "folds: .*valid integer"),
        (lambda record: record.replace("{", '{"surprise": 1,', 1), "unknown field surprise"),
    ],
)
def test_a_damaged_record_is_named_and_listed(tmp_path, change, problem):
    path = write(tmp_path) / "fold-0" / "fold.json"
    path.write_text(change(path.read_text()))
    with pytest.raises(results.ResultsError, match=rf"fold\.json.*{problem}.*Delete"):
        results.read_record(path.parent)
    assert results.runs(tmp_path)["problem"].str.contains(problem).all()


@pytest.mark.parametrize(
    ("probabilities", "problem"),
    [
        ({"prob_healthy": [1.25, 0.5], "prob_ALL": [-0.25, 0.5]}, "outside 0..1"),
        ({"prob_healthy": [0.25, 0.5], "prob_ALL": [0.25, 0.5]}, "do not sum to 1"),
    ],
)
def test_predictions_that_are_no_probabilities_name_file_and_image(
    tmp_path, probabilities, problem
):
    folder = write(tmp_path, predictions=PREDICTIONS.assign(**probabilities))
    with pytest.raises(results.ResultsError, match=rf"predictions\.csv.*image '003'.*{problem}"):
        results.read_table(folder)


def test_runs_are_listed_with_their_place_and_only_planned_ones_are_found(tmp_path):
    folder = write(tmp_path)
    listed = results.runs(tmp_path).iloc[0]
    assert listed[["paper", "profile", "split", "run", "folds"]].tolist() == [
        "own",
        "own",
        "leak-free",
        folder.name,
        1,
    ]
    assert pd.isna(listed["problem"]) and listed["folder"] == str(folder)
    assert results.find(tmp_path, "own", "own").empty
    plain = folder.with_name("run")
    folder.rename(plain)
    assert results.find(tmp_path, "own", "own")["folder"].tolist() == [str(plain)]
    assert results.runs(tmp_path / "nothing").empty


def test_a_fold_records_when_where_and_from_which_code_it_came(tmp_path):
    record = results.read_record(write(tmp_path) / "fold-0")
    assert record.finished.endswith("+00:00") and record.hardware["cores"] >= 1
    assert (record.folds, record.seconds, record.selected) == (1, 1.235, {"C": 10})
    assert {"python", "tensorflow", "scikit-learn"} <= record.versions.keys()
    assert record.images == {"train": 2, "validation": 0, "test": 2}
    assert record.leakage["test_images"] == 2
    assert record.leakage["subject"] == 1 and record.leakage["patient"] == 0
    assert record.leakage["source_image"] is None


@pytest.mark.parametrize("name", ["../../run", "..", "a\\b", ""])
def test_no_name_leads_out_of_the_results(tmp_path, name):
    for levels in ((name, "sample", "plain", "run"), ("own", "sample", "plain", name)):
        with pytest.raises(results.ResultsError, match=r"cannot be a folder of the results"):
            results.run_folder(tmp_path, *levels)
    assert results.run_folder(tmp_path, "own", "../a.b.toml", "plain", "run").parts[-3] == "a.b"


def test_a_write_that_dies_leaves_no_half_fold(tmp_path, monkeypatch):
    def dies(self, *args, **keywords):
        raise KeyboardInterrupt

    monkeypatch.setattr(pd.DataFrame, "to_csv", dies)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_an_unwritable_results_folder_says_what_to_do(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("a file where a folder should be")
    with pytest.raises(OSError, match=r"cannot write into .*--results-dir"):
        write(blocked)


def test_of_two_processes_that_make_a_fold_one_waits_and_makes_it_not_again(tmp_path):
    made = []

    @results.once
    def make(folder, configuration):
        made.append(folder)
        with pytest.raises(filelock.Timeout):  # the other one
            filelock.FileLock(folder / ".lock", timeout=0).acquire()
        write(tmp_path)

    found = place(tmp_path)
    for _ in range(2):  # both processes saw it missing
        make(found.fold(0), found.folds[0])
    assert made == [found.fold(0)]


def test_the_digest_of_cells_sees_labels_and_order():
    cells = make_split().cells
    base = results.cells_digest(cells, [0, 1])
    assert base == results.cells_digest(cells.copy(), [0, 1])
    assert base != results.cells_digest(cells, [1, 0])
    assert base != results.cells_digest(cells.assign(label="ALL"), [0, 1])
