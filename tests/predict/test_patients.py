"""Cells become patients: means and votes worked by hand, and scores where labels are known."""

import pathlib

import numpy as np
import pandas as pd
import pytest

from leukkit import cli, predict

CHANCES = {"a/1.png": 0.9, "a/2.png": 0.6, "b/1.png": 0.2, "b/2.png": 0.4, "b/3.png": 0.8}


@pytest.fixture
def frame():
    chances = np.array([*CHANCES.values()])
    return pd.DataFrame(
        {
            "image": pd.array([f"/data/{name}" for name in CHANCES], dtype="string"),
            "predicted": np.where(chances > 0.5, "ALL", "healthy"),
            "prob_healthy": 1 - chances,
            "prob_ALL": chances,
            "out_of_distribution": pd.array([True, False, False, False, True], "boolean"),
            "seen": pd.array([False] * 5, "boolean"),
            "error": pd.array([pd.NA] * 5, dtype="string"),
        }
    )


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "patients.csv"
    of = {"a": "A,ALL", "b": "B,healthy"}
    lines = [f"{name},{of[name[0]]}" for name in CHANCES]
    path.write_text("\n".join(["file,patient,label", *lines]) + "\n")
    return path


def test_means_and_votes_of_patients(frame, table):
    found = predict.by_patient(predict.assign(frame, table)).set_index("patient")
    assert found["cells"].to_dict() == {"A": 2, "B": 3}
    assert found["mean_ALL"].to_dict() == pytest.approx({"A": 0.75, "B": 1.4 / 3})
    assert found["predicted"].to_dict() == {"A": "ALL", "B": "healthy"}
    assert found["vote"].to_dict() == {"A": "ALL", "B": "healthy"}
    assert found["votes"].to_dict() == pytest.approx({"A": 1, "B": 2 / 3})
    assert found["out_of_distribution"].to_dict() == {"A": 1, "B": 1}


def test_a_vote_that_is_a_draw_goes_to_the_higher_mean_as_in_the_score(frame, table):
    chances = [0.9, 0.3, 0.2, 0.4, 0.8]
    frame = frame.assign(prob_ALL=chances, prob_healthy=1 - np.array(chances))
    frame["predicted"] = np.where(frame["prob_ALL"] > 0.5, "ALL", "healthy")
    assigned = predict.assign(frame, table)
    found = predict.by_patient(assigned).set_index("patient")
    assert (found.loc["A", "vote"], found.loc["A", "votes"]) == ("ALL", 0.5)
    scored = predict.scores(assigned).set_index("quantity")["value"]
    assert scored["accuracy of the patients' votes"] == 1


def test_a_cell_that_could_not_be_read_counts_nowhere(frame, table):
    frame.loc[4, ["error", "predicted", "prob_healthy", "prob_ALL"]] = ["damaged", None, None, None]
    frame.loc[[0, 1], "error"] = "damaged"
    found = predict.by_patient(predict.assign(frame, table)).set_index("patient")
    assert (found.loc["B", "cells"], found.loc["B", "unreadable"]) == (2, 1)
    assert found.loc["B", "mean_ALL"] == pytest.approx(0.3)
    assert found.loc["A", "cells"] == 0 and pd.isna(found.loc["A", "predicted"])


def test_scores_are_those_of_measure_with_the_patient_as_subject(frame, table):
    scored = predict.scores(predict.assign(frame, table)).set_index("quantity")
    assert scored.loc["accuracy of cells", "value"] == pytest.approx(4 / 5)
    assert scored.loc["accuracy of the patients' votes", "value"] == 1
    assert scored.loc["AUC of cells", "value"] == pytest.approx(5 / 6)
    assert scored.loc["accuracy of cells", ["images", "patients"]].tolist() == [5, 2]


def test_images_that_a_model_was_made_with_are_left_out_of_scores(frame, table):
    assigned = predict.assign(frame, table).assign(seen=[True, *[False] * 4])
    scored = predict.scores(assigned)
    assert scored.set_index("quantity").loc["accuracy of cells", "images"] == 4
    text = predict.patients_text(predict.by_patient(assigned), scored)
    assert "left out of scores: 1 labeled cells" in text
    alone = predict.scores(assigned[:1])
    assert alone.empty and alone.attrs["left_out"] == 1


def test_without_labels_there_are_no_scores(frame, table):
    table.write_text("\n".join(line.rpartition(",")[0] for line in table.read_text().split("\n")))
    assigned = predict.assign(frame, table)
    patients, scored = predict.by_patient(assigned), predict.scores(assigned)
    assert scored.empty and "accuracy" not in predict.patients_text(patients, scored)


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("a/2.png", "a/9.png", "no row for /data/a/2.png"),
        ("A,ALL", "A,blast", "label of a/1.png is 'blast', and the model tells healthy, ALL apart"),
        ("a/2.png", "a/1.png", "a/1.png has more than one row"),
        ("patient", "who", "names the columns file, patient"),
    ],
)
def test_a_table_that_does_not_fit_is_named(frame, table, old, new, message):
    table.write_text(table.read_text().replace(old, new, 1))
    with pytest.raises(ValueError, match=rf"patients\.csv: .*{message}"):
        predict.assign(frame, table)


def test_the_command_prints_and_writes_patients(network_run, paths, tmp_path, capsys):
    names = [f"{pathlib.Path(path).name},=P{i // 2},\n" for i, path in enumerate(paths)]
    (tmp_path / "patients.csv").write_text("file,patient,label\n" + "".join(names))
    out = tmp_path / "answers.csv"
    command = ["predict", str(network_run / "fold-0"), *paths, "-o", str(out)]
    assert cli.main([*command, "--patients", str(tmp_path / "patients.csv")]) == 0
    text = capsys.readouterr().out
    assert "patient" in text and "=P1" in text
    assert pd.read_csv(out)["patient"].tolist() == ["'=P0", "'=P0", "'=P1"]  # no formula
