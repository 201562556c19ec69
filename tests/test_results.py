import json

import pandas as pd
import pytest

from leukkit import results


@pytest.fixture
def folder(tmp_path):
    return results.fold_dir(tmp_path, "paper", "sample", "leak-free", "model", 0)


PREDICTIONS = pd.DataFrame(
    {
        "image_id": ["001", "002"],
        "subject": ["20+21", pd.NA],
        "label": ["ALL", "healthy"],
        "prob_healthy": [0.25, 0.5],
        "prob_ALL": [0.75, 0.5],
    }
)
CONFIGURATION = {"run": {"dataset": "a", "backbone": "b"}, "seed": 1}


def write(folder, configuration=CONFIGURATION, predictions=PREDICTIONS, folds=1):
    results.write_fold(
        folder, configuration, predictions, folds=folds, seed=1, seconds=1.5, selected={"C": 10}
    )


def test_a_fold_is_done_only_after_fold_json(folder):
    assert not results.is_done(folder, CONFIGURATION)
    folder.mkdir(parents=True)
    PREDICTIONS.to_csv(folder / "predictions.csv")
    assert not results.is_done(folder, CONFIGURATION)
    write(folder)
    assert results.is_done(folder, CONFIGURATION)


def test_a_finished_fold_of_another_configuration_is_kept_and_named(folder):
    write(folder)
    with pytest.raises(results.ConfigurationError, match=r"different: seed.*--results-dir"):
        results.is_done(folder, {**CONFIGURATION, "seed": 2})
    assert results.is_done(folder, CONFIGURATION)


def test_predictions_come_back_as_written_with_ids_as_text(folder):
    for number in (10, 2, *range(2), *range(3, 10)):
        write(folder.with_name(f"fold-{number}"), folds=11)
    table = results.read_table(folder.parent)
    assert table["fold"].tolist() == [number for number in range(11) for _ in range(2)]
    assert table["image_id"].tolist() == ["001", "002"] * 11
    assert table["subject"].isna().tolist() == [False, True] * 11
    assert table["prob_ALL"].tolist() == [0.75, 0.5] * 11


def test_an_interrupted_fold_is_not_read(folder):
    write(folder)
    started = folder.with_name("fold-1")
    started.mkdir()
    PREDICTIONS.to_csv(started / "predictions.csv")
    assert set(results.read_table(folder.parent)["fold"]) == {0}


def test_a_missing_fold_is_named_and_the_others_are_not_pooled(folder):
    write(folder, folds=3)
    write(folder.with_name("fold-2"), folds=3)
    with pytest.raises(results.ResultsError, match=r"2 of 3 folds; missing: fold-1"):
        results.read_table(folder.parent)


def test_folds_of_two_runs_in_one_folder_are_refused(folder):
    write(folder, folds=2)
    write(folder.with_name("fold-1"), {**CONFIGURATION, "seed": 2}, folds=2)
    with pytest.raises(results.ResultsError, match=r"fold-0 and fold-1 differ in seed"):
        results.read_table(folder.parent)


def test_folds_of_one_run_may_differ_in_their_images(folder):
    for number in range(2):
        write(folder.with_name(f"fold-{number}"), {**CONFIGURATION, "training": number}, folds=2)
    assert set(results.read_table(folder.parent)["fold"]) == {0, 1}


def test_results_of_an_older_version_are_kept_and_named(folder):
    write(folder)
    record = json.loads((folder / "fold.json").read_text())
    del record["format"]  # as version 0.1 wrote it
    (folder / "fold.json").write_text(json.dumps(record))
    for ask in (results.read_record, lambda place: results.is_done(place, CONFIGURATION)):
        with pytest.raises(results.ResultsError, match=r"fold\.json was written in format 1.*kept"):
            ask(folder)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"format": 2,', "is no JSON"),
        ("[]", "holds no record of a fold"),
        ('{"format": 2}', "lacks configuration, configuration_hash, finished, folds"),
    ],
)
def test_a_damaged_record_is_named_and_listed(folder, tmp_path, text, problem):
    write(folder)
    (folder / "fold.json").write_text(text)
    with pytest.raises(results.ResultsError, match=rf"fold\.json {problem}.*Delete"):
        results.read_record(folder)
    assert problem in results.runs(tmp_path)["problem"][0]


@pytest.mark.parametrize(
    ("probabilities", "problem"),
    [
        ({"prob_healthy": [1.25, 0.5], "prob_ALL": [-0.25, 0.5]}, "outside 0..1"),
        ({"prob_healthy": [0.25, 0.5], "prob_ALL": [0.25, 0.5]}, "do not sum to 1"),
    ],
)
def test_predictions_that_are_no_probabilities_name_file_and_image(folder, probabilities, problem):
    write(folder, predictions=PREDICTIONS.assign(**probabilities))
    with pytest.raises(results.ResultsError, match=rf"predictions\.csv.*image '001'.*{problem}"):
        results.read_table(folder.parent)


def test_a_run_that_cannot_be_used_is_listed_with_the_reason(folder, tmp_path):
    write(folder, folds=2)
    write(folder.parent.with_name("whole") / "fold-0")
    listed = results.runs(tmp_path).set_index("model")
    assert "missing: fold-1" in listed.loc["model", "problem"]
    assert pd.isna(listed.loc["whole", "problem"])
    assert listed.loc["whole", ["paper", "profile", "protocol", "dataset"]].tolist() == [
        "paper",
        "sample",
        "leak-free",
        "a",
    ]
    with pytest.raises(results.ResultsError, match="missing: fold-1"):
        results.find(tmp_path, "paper", "sample")


def test_a_fold_records_when_where_and_from_which_code_it_came(folder):
    write(folder)
    record = results.read_record(folder)
    assert record["finished"].endswith("+00:00")
    assert record["hardware"]["cores"] >= 1
    assert isinstance(record["commit"], str)
    assert record["folds"] == 1


def test_no_finished_fold_says_what_to_run(folder):
    with pytest.raises(FileNotFoundError, match="leukkit reproduce"):
        results.read_table(folder.parent)


def test_a_write_that_dies_leaves_no_half_fold(folder, monkeypatch):
    def dies(self, *args, **keywords):
        raise KeyboardInterrupt

    monkeypatch.setattr(pd.DataFrame, "to_csv", dies)
    with pytest.raises(KeyboardInterrupt):
        write(folder)
    assert not [path for path in folder.iterdir() if path.is_file()]


def test_an_unwritable_results_folder_says_what_to_do(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("a file where a folder should be")
    folder = results.fold_dir(blocked, "paper", "sample", "published", "model", 0)
    with pytest.raises(OSError, match=r"cannot write into .*--results-dir"):
        write(folder)


def test_find_lists_runs_by_their_keys(tmp_path, folder):
    write(folder)
    found = results.find(tmp_path, "paper", "sample")
    assert found[["protocol", "model", "folds", "dataset", "backbone"]].to_numpy().tolist() == [
        ["leak-free", "model", 1, "a", "b"]
    ]
    assert len(results.find(tmp_path, "paper", "other")) == 0


def test_fold_json_says_seed_seconds_and_versions(folder):
    write(folder)
    record = json.loads((folder / "fold.json").read_text())
    assert record["seed"] == 1 and record["seconds"] == 1.5 and record["selected"] == {"C": 10}
    assert {"python", "tensorflow", "scikit-learn"} <= record["versions"].keys()


def test_the_digest_of_cells_sees_labels_and_order():
    cells = pd.DataFrame(
        {"image_id": ["a", "b"], "label": ["x", "y"], "sha256": ["1", "2"], "subject": ["p", "q"]}
    )
    base = results.cells_digest(cells, [0, 1])
    assert base == results.cells_digest(cells.copy(), [0, 1])
    assert base != results.cells_digest(cells, [1, 0])
    assert base != results.cells_digest(cells.assign(label=["x", "x"]), [0, 1])
