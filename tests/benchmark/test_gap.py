"""What each leak is worth: the ladder's arithmetic on hand-made runs, and its real splits."""

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

from leukkit import cli, metrics, results, runs, splits
from leukkit.benchmark import gap
from leukkit.datasets import links
from leukkit.plots import gap_ladder
from tests.datasets import trees
from tests.report import small_results

SPLITS = list(dict.fromkeys(step.split for step in gap.STEPS))
EVERY = {(subject, cell) for subject in range(4) for cell in range(2)}
SHARES = {"patient": 0.0, "subject": 0.5, "source_image": None, "bytes": 0.0, "original": None}
PLAN = {(run.split, run.draw): run for run in gap.load("sample").plan()}


def write_run(base, split, right, repeat=0, copies=(), leaks=SHARES):
    """Write a run of one fold: four subjects with two cells each, of which some are right."""
    rows = []
    for subject, cell in sorted(EVERY):
        label = "ALL" if subject % 2 else "healthy"
        chance = 0.9 if ((subject, cell) in right) == (label == "ALL") else 0.1
        names = [f"{subject}_{cell}", *(f"{subject}_{cell}#1" for _ in range(cell in copies))]
        rows += [(name, f"P{subject}", label, 1 - chance, chance) for name in names]
    columns = ["image_id", "subject", "label", "prob_healthy", "prob_ALL"]
    table = pd.DataFrame(rows, columns=columns)
    return small_results.write(base, PLAN[split, repeat], table, leaks=leaks)


@pytest.fixture
def little(tmp_path):
    """A ladder that falls from 8 of 8 right cells to 6 of 8, always by the same two subjects."""
    for split in SPLITS:
        right = EVERY if "-by-subject" not in split else EVERY - {(0, 0), (1, 0)}
        write_run(tmp_path, split, right, copies={1} if "before" in split else ())
    return tmp_path


def test_differences_and_intervals_are_paired_over_subjects(little):
    measured = gap.measure("sample", little)
    row = measured[measured["split"] == "plain-by-subject"].set_index("quantity")
    last = row.loc["accuracy"]
    assert last["value"] == 6 / 8
    assert last["worth"] == last["total"] == 2 / 8
    # By hand: two of four subjects, one of each class, lose half; a class of two equal subjects
    # has one degree of freedom.
    half = stats.t.ppf(0.975, 2) * stats.sem([0.5, 0.5, 0, 0])
    ends = last[["worth low", "worth high"]].to_numpy(float)
    # The better score is 1 and does not vary: the upper end is the other's, on the logit scale.
    lowest = special.expit(special.logit(3 / 4) - half / (3 / 4 * 1 / 4))
    assert ends == pytest.approx([1 / 4 - half, 1 - lowest])
    # The AUC rests on two subjects of a class: too few.
    assert np.isinf(row.loc["auc", ["low", "worth high"]].astype(float)).all()
    same = measured[measured["closed"].isin(["same source image", "same patient id"])]
    assert len(same) == 2 * 2 * len(gap.QUANTITIES)
    assert (same["worth"] == 0).all()
    same = same[same["quantity"] == "accuracy"]
    assert (same[["worth low", "worth high"]] == 0).all(axis=None)
    assert measured.loc[measured["closed"] == "", ["worth", "total low"]].isna().all(axis=None)
    # One run alone has the intervals of any other; the first step scores copies, too.
    folder = runs.folder(PLAN["plain-by-subject", 0], little)
    alone = metrics.jackknife(results.read_table(folder))
    for name in ("accuracy", "auc"):
        here, there = (frame.loc[name, ["low", "high"]].tolist() for frame in (row, alone))
        assert here == pytest.approx(there)
    images = measured[measured["quantity"] == "auc"]["images"]
    assert images.tolist() == [12] + [8] * (len(gap.STEPS) - 1)


def test_a_score_is_the_mean_over_the_repeats(little):
    write_run(little, "plain-by-patient", EVERY - {(0, 0), (0, 1), (1, 0), (1, 1)}, repeat=1)
    measured = gap.measure("sample", little)
    row = measured[measured["split"] == "plain-by-patient"].set_index("quantity").loc["accuracy"]
    assert row["value"] == (1 + 0.5) / 2
    assert (row["lowest"], row["highest"], row["repeats"], row["splits"]) == (0.5, 1.0, 2, 1)


def test_steps_of_other_subjects_are_not_compared_and_a_missing_one_is_named(little):
    other = write_run(little, "plain-by-patient", EVERY, repeat=1)
    path = other / "predictions.csv"
    path.write_text(path.read_text().replace("P0", "someone else"))
    small_results.seal(other)
    with pytest.raises(results.ResultsError, match="repeat-1 tested other subjects than"):
        gap.measure("sample", little)
    other.parent.rename(little / "one")
    runs.folder(PLAN["plain-by-patient", 0], little).rename(little / "two")
    with pytest.raises(results.ResultsError, match="no run of plain-by-patient"):
        gap.measure("sample", little)


def test_nothing_run_is_an_empty_frame(tmp_path):
    measured = gap.measure("sample", tmp_path)
    assert measured.empty and gap.steps(measured).empty
    with pytest.raises(ValueError, match="no auc was measured"):
        gap_ladder(measured)


def test_table_and_figure_hold_every_score_and_every_difference(little):
    measured = gap.measure("sample", little)
    text = gap.steps(measured, "accuracy").reset_index()
    assert text["worth"].tolist()[-2:] == ["0.250 (-0.371 to 0.901)"] * 2
    assert text["closed here"].iloc[-2] == "same subject, other id"
    assert set(text["subject in training"]) == {"50.0%", ""}
    assert set(text["source image in training"]) == {""}  # not known
    left, right = (
        [one.get_text() for one in panel.texts] for panel in gap_ladder(measured, "accuracy")
    )
    assert sum(" to " in one for one in left) == len(gap.STEPS)
    assert sum("all of these leaks" in one for one in right) == 2
    assert len(right) == len(gap.STEPS)  # one difference less than steps in each ladder, one total


# --------------------------------------------------------------------------------- the real splits


@pytest.mark.parametrize("name", SPLITS)
def test_every_original_is_tested_once_in_each_repeat_and_repeats_are_other_splits(name):
    cells = runs.load_cells("sample-cells")
    first, second = (runs.split_of(PLAN[name, repeat]) for repeat in range(2))
    for divided in (first, second):
        tested = divided.cells["image_id"].iloc[np.concatenate([f.test for f in divided.folds])]
        originals = tested[~tested.str.contains("#")]
        assert sorted(originals) == sorted(cells["image_id"])
        assert ("before" in name) == (len(tested) > len(originals))
    if "by-image" in name:
        assert set(first.folds[0].test) != set(second.folds[0].test)
    if "copies" in name:
        assert set(first.cells["image_id"]) != set(second.cells["image_id"])


def test_each_step_closes_the_leak_that_it_names():
    shares = runs.leakage([PLAN[name, 0] for name in SPLITS])
    assert shares.loc["copies-before-by-image", "original"] > 0.2
    assert (shares.drop(index="copies-before-by-image")["original"].fillna(0) == 0).all()
    for kind in ("copies-after", "plain"):
        here = shares.loc[[f"{kind}-by-{by}" for by in ("source-image", "patient", "subject")]]
        assert (shares.loc[f"{kind}-by-image", ["source_image", "subject"]] > 0.9).all()
        assert (here["source_image"] == 0).all()
        assert here["patient"].gt(0).tolist() == [True, False, False]
        assert here["subject"].gt(0).tolist() == [True, True, False]
        assert here["bytes"].gt(0).tolist() == [True, True, False]


def test_subjects_that_the_profile_joins_are_one_subject(monkeypatch):
    cells = runs.load_cells("sample-cells")
    joined = cells["patient"][cells["patient"] == cells["subject"]].unique()[:2].tolist()
    pair = ["one cell", "the same cell", *joined, "single pairs"]
    names = ["image_id", "image_id_like", "patient", "patient_like", "level"]
    monkeypatch.setattr(links, "known", lambda _: pd.DataFrame([pair], columns=names))
    run = PLAN["plain-by-subject", 0].model_copy(update={"links": "single pairs"})
    divided = runs.split_of(run)
    runs._load.cache_clear()
    assert divided.cells.attrs["links"] == "single pairs"
    assert divided.cells["subject"].nunique() == cells["subject"].nunique() - 1
    assert len(set(divided.cells["subject"][divided.cells["patient"].isin(joined)])) == 1
    assert splits.leakage(divided)["subject"].eq(0).all()


SMALL = """
extends = "sample"
leave_out = ["repeat-1", "repeat-2", "repeat-3", "repeat-4"]
[networks.densenet201]
network = "mobilenet-0.25"
[recipe]
width = 1.0
image_size = 32
weights = "none"
"""


def test_a_profile_whose_counts_leave_no_room_for_copies_is_refused(tmp_path):
    profile = tmp_path / "small.toml"
    profile.write_text(SMALL + "[copies]\ncnmc-2019 = { counts = { healthy = 9, ALL = 9 } }")
    with pytest.raises(ValueError, match=r"'ALL': 9} are images after augmentation, .*none of"):
        gap.run(str(profile), tmp_path)


def test_steps_that_a_data_set_does_not_allow_are_left_out_and_named(tmp_path, monkeypatch, capsys):
    """ALL-IDB2 names neither patients nor source images; ALL 2021 has blocks for subjects alone."""
    for name in ("TQDM_DISABLE", "LEUKKIT_PROFILE", "LEUKKIT_RESULTS_DIR"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("LEUKKIT_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(runs, "_load", runs._load.__wrapped__)  # another ALL-IDB2 than any other's
    for number in range(24):
        trees.write(tmp_path / f"all-idb2/Im{number:03}_{number % 2}.tif", number, 40)
    profile, out = tmp_path / "small.toml", tmp_path / "results"
    counts = "[copies]\ncnmc-2019 = { counts = { healthy = 24, ALL = 24 } }\n"
    profile.write_text(SMALL + counts + '[datasets]\ncnmc-2019 = "all-idb2"\n')
    figure = ["--figure", str(tmp_path / "gap.png")]
    assert cli.main(["gap", "--profile", str(profile), "--results-dir", str(out), *figure]) == 0
    said = capsys.readouterr().out
    assert "plain-by-patient: left out: all-idb2 says no patient of any image" in said
    assert {path.name for path in (out / "gap/small").iterdir()} == {
        *("copies-before-by-image", "copies-after-by-image", "plain-by-image")
    }
    measured = gap.measure(str(profile), out)
    assert measured["label"].nunique() == 4 and set(measured["closed"]) == {
        *("", "copies in the test", "copies of one cell")
    }
    assert set(measured["groups_are"]) == {"original images"}
    assert set(measured["subjects"]) == {24}


def test_a_step_closes_what_others_left_out_would_and_blocks_are_not_called_subjects(tmp_path):
    unknown = SHARES | {"patient": None}
    folders = [
        write_run(tmp_path, split, EVERY, leaks=unknown)
        for split in SPLITS
        if "source-image" not in split and "patient" not in split
    ]
    measured = gap.measure("sample", tmp_path).set_index("split")
    closed = "same source image; same patient id; same subject, other id"
    assert set(measured.loc["plain-by-subject", "closed"]) == {closed}
    for folder in folders:
        path = folder / "predictions.csv"
        path.write_text(path.read_text().replace(",P", ",proxy:"))
        small_results.seal(folder)
    table = gap.steps(gap.measure("sample", tmp_path)).reset_index()
    assert table["split"].iloc[-2] == "by block" and table["closed here"].iloc[-2] == "same block"
    assert "block in training" in table and "subject in training" not in table


def test_a_run_goes_on_where_it_stopped(tmp_path, monkeypatch, capsys):
    for name in ("TQDM_DISABLE", "LEUKKIT_PROFILE", "LEUKKIT_RESULTS_DIR"):
        monkeypatch.setenv(name, "1")  # the command line sets the last two
    profile = tmp_path / "small.toml"
    profile.write_text(SMALL)
    folders = gap.run(str(profile), tmp_path)
    assert len(folders) == len(SPLITS)
    record = folders[-1] / "fold-1" / "fold.json"
    record.unlink()
    kept = (folders[0] / "fold-0" / "fold.json").stat().st_mtime_ns
    figure = tmp_path / "figures" / "gap.png"
    command = ["gap", "--profile", str(profile), "--results-dir", str(tmp_path)]
    assert cli.main([*command, "--figure", str(figure)]) == 0
    assert "by source image" in capsys.readouterr().out
    assert figure.stat().st_size > 10_000 and record.exists()
    assert (folders[0] / "fold-0" / "fold.json").stat().st_mtime_ns == kept
    measured = gap.measure(str(profile), tmp_path)
    assert len(measured) == len(gap.STEPS) * len(gap.QUANTITIES)
    assert "449 images of sample-cells (synthetic), random mobilenet-0.25" in gap.title(measured)
