"""What lies on disk: whole or not at all, of one run, and of this version."""

import json
import multiprocessing
import re
import shutil
import time

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
    parts = [FOLD._replace(train=np.resize(FOLD.train, 2 + number)) for number in range(folds)]
    return splits.Split(cells, parts, [], SplitTable(**known, **table), 0)


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


def write(folder, folds=1, seed=0, predictions=PREDICTIONS, numbers=None, **facts):
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
            **facts,
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


@pytest.mark.parametrize("old", [None, 4])
def test_results_of_an_older_version_are_kept_and_named(tmp_path, old):
    fold = write(tmp_path) / "fold-0"
    record = json.loads((fold / "fold.json").read_text())
    del record["format"]
    (fold / "fold.json").write_text(json.dumps(record | ({"format": old} if old else {})))
    for ask in (lambda: results.read_record(fold), lambda: place(tmp_path)):
        with pytest.raises(
            results.ResultsError, match=r"format \d.*splits and copies do not depend on names.*kept"
        ):
            ask()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda record: record[:20], "is no JSON"),
        (lambda record: "[]", "Input should be a valid dictionary"),
        (lambda record: '{"format": 5}', "missing field configuration_hash"),
        (lambda record: record.replace('"folds": 1', '"folds": "one"'), "folds: .*valid integer"),
        (lambda record: record.replace("{", '{"surprise": 1,', 1), "unknown field surprise"),
        (lambda record: record.replace('"subject": 1.0', '"subject": 7.0'), "leakage.subject: .*1"),
        (lambda record: record.replace('"subject": 1.0', '"subject": NaN'), "finite number"),
        (lambda record: record.replace("1.235", "null"), "seconds: .*valid number"),
        (lambda record: record.replace("1.235", "-1"), "seconds: .*greater than or equal to 0"),
        (lambda record: record.replace("1.235", "1e999"), "seconds: .*finite"),
        (lambda record: re.sub('"finished": ".*?"', '"finished": "noon"', record), "finished: "),
        (lambda record: record.replace('"test": 2', '"test": -2'), "images.test: .*equal to 0"),
        (lambda record: record.replace('"test": 2', '"west": 2'), "images: no number for test"),
        (lambda record: record.replace('"seed": 0', '"seed": 1'), "configuration is not the one"),
        (lambda record: "[" * 100_000, "can be read .*recursion"),
        (lambda record: "9" * 5000, "can be read .*limit"),
        (lambda record: "\N{BOM}" + record, "can be read .*BOM"),
    ],
)
def test_a_damaged_record_is_named_and_listed(tmp_path, change, problem):
    path = write(tmp_path) / "fold-0" / "fold.json"
    path.write_text(change(path.read_text()))
    with pytest.raises(results.ResultsError, match=rf"fold\.json.*{problem}.*Move"):
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


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda path: PREDICTIONS.head(1).to_csv(path, index=False), "not the table"),
        (lambda path: path.write_text(path.read_text().replace("0.25,0.75", "0.75,0.25")), "not"),
        (lambda path: PREDICTIONS.iloc[::-1].to_csv(path, index=False), "not the table"),
        (lambda path: path.unlink(), "No such file"),
    ],
)
def test_a_table_is_believed_only_as_it_was_written(tmp_path, damage, problem):
    folder = write(tmp_path)
    damage(folder / "fold-0" / "predictions.csv")
    with pytest.raises(results.ResultsError, match=rf"fold-0/predictions\.csv: {problem}.*Move"):
        results.read_table(folder)


def test_a_table_that_the_record_does_not_name_is_refused(tmp_path):
    folder = write(tmp_path)
    fold = folder / "fold-0"
    shutil.copy(fold / "predictions.csv", fold / "validation_predictions.csv")
    with pytest.raises(results.ResultsError, match=r"validation_predictions\.csv: not the table"):
        results.read_table(folder, "validation_predictions")


def test_predictions_are_as_many_as_the_images_of_their_part(tmp_path):
    folder = write(tmp_path, predictions=PREDICTIONS.head(1))
    with pytest.raises(results.ResultsError, match=r"predictions\.csv: 1 rows for 2 images of"):
        results.read_table(folder)


@pytest.mark.parametrize("copy", ["fold-00", "fold-0 (copy)", "fold-0.bak", "fold-²"])
def test_a_copy_of_a_fold_counts_nowhere_and_is_named(tmp_path, copy):
    folder = write(tmp_path)
    shutil.copytree(folder / "fold-0", folder / copy)
    with pytest.raises(results.ResultsError, match=rf"{re.escape(copy)} is no fold of a run.*move"):
        results.read_table(folder)
    assert re.search(re.escape(copy), results.runs(tmp_path)["problem"].item())


def test_a_fold_that_is_a_copy_of_another_is_refused(tmp_path):
    folder = write(tmp_path, folds=2)
    shutil.rmtree(folder / "fold-1")
    shutil.copytree(folder / "fold-0", folder / "fold-1")
    with pytest.raises(results.ResultsError, match=r"has the images of fold-0.*a copy"):
        results.read_table(folder)


def test_folds_on_other_threads_are_neither_made_nor_pooled(tmp_path):
    one, two = "1 x CPU, threads: 1", "1 x CPU, threads: 2"
    folder = write(tmp_path, folds=2, numbers=[0], arithmetic=two)
    results.check_arithmetic(folder / "fold-1", two)
    with pytest.raises(results.ConfigurationError, match=f"on {one}, but fold-0 was made on {two}"):
        results.check_arithmetic(folder / "fold-1", one)
    write(tmp_path, folds=2, numbers=[1], arithmetic=one)
    with pytest.raises(results.ResultsError, match=rf"differ in arithmetic \({two}; {one}\)"):
        results.read_records(folder)


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
    assert record.finished.tzinfo and " cores" in record.hardware
    assert (record.folds, record.seconds, record.selected) == (1, 1.235, {"C": 10})
    assert {"python", "tensorflow", "scikit-learn"} <= record.versions.keys()
    assert record.images == {"train": 2, "validation": 0, "test": 2}
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


@results.once
def make_slowly(folder, configuration, split, number, log):
    with log.open("a") as lines:
        lines.write(f"{number}\n")
    time.sleep(0.05)
    results.write_fold(
        folder, configuration, split, number, {"predictions": PREDICTIONS}, seconds=1
    )


def make_all(base, folds, log):
    found, split = place(base, folds), make_split(folds)
    for number in found.missing:
        make_slowly(found.fold(number), found.folds[number], split, number, log)


def test_two_processes_make_each_fold_once_also_after_one_was_killed(tmp_path):
    log, spawn = tmp_path / "log", multiprocessing.get_context("spawn")
    at_work = [spawn.Process(target=make_all, args=(tmp_path, 8, log)) for _ in range(3)]
    at_work[0].start()
    until = time.monotonic() + 60
    while not log.exists() or len(log.read_text()) < 4:
        assert at_work[0].is_alive() and time.monotonic() < until
        time.sleep(0.01)
    at_work[0].kill()  # it holds the lock of a fold
    at_work[0].join()
    for process in at_work[1:]:
        process.start()
    for process in at_work[1:]:
        process.join(60)
        assert process.exitcode == 0
    made = log.read_text().split()
    assert sorted(set(made)) == [*"01234567"] and len(made) <= 9  # the killed one's fold twice
    assert len(results.read_table(place(tmp_path, 8).folder)) == 16


def test_the_digest_of_cells_sees_labels_and_order():
    cells = make_split().cells
    base = results.cells_digest(cells, [0, 1])
    assert base == results.cells_digest(cells.copy(), [0, 1])
    assert base != results.cells_digest(cells, [1, 0])
    assert base != results.cells_digest(cells.assign(label="ALL"), [0, 1])
