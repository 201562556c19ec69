import pathlib

import numpy as np
import pandas as pd
import pytest

from leukkit import cli, gap, locations, metrics, results
from leukkit.plots import gap_ladder

PROFILE = gap.load("sample")
PROTOCOLS = list(dict.fromkeys(step.protocol for step in gap.STEPS))


@pytest.fixture(scope="module")
def cells():
    return gap.load_cells(PROFILE)


def write_run(base, protocol, right, repeat=0, copies=()):
    """Write a run of one fold: four subjects with two cells each, of which some are right."""
    rows = []
    for subject in range(4):
        label = "ALL" if subject % 2 else "healthy"
        for cell in range(2):
            probability = 0.9 if (subject, cell) in right else 0.1
            names = [f"{subject}_{cell}", *(f"{subject}_{cell}#1" for _ in range(cell in copies))]
            rows += [(name, f"P{subject}", label, probability) for name in names]
    table = pd.DataFrame(rows, columns=["image_id", "subject", "label", "right"])
    positive = table["right"].where(table["label"] == "ALL", 1 - table["right"])
    table = table.assign(prob_healthy=1 - positive, prob_ALL=positive).drop(columns="right")
    this = {"dataset": "toy", "backbone": "none", "classifier": "none", "repeat": f"r{repeat}"}
    folder = pathlib.Path(base) / "gap" / "toy" / protocol / results.run_name(this) / "fold-0"
    shares = {"patient": 0.0, "subject": 0.5, "source_image": None, "bytes": 0.0}
    results.write_fold(
        folder,
        {"protocol": protocol, "run": this, "weights": "none"},
        table,
        folds=1,
        seed=repeat,
        seconds=0.0,
        leakage={"test_images": len(table), "original": None, **shares},
    )


EVERY = {(subject, cell) for subject in range(4) for cell in range(2)}


@pytest.fixture
def toy(tmp_path):
    """A ladder that falls from 8 of 8 right cells to 6 of 8, always by the same two subjects."""
    for protocol in PROTOCOLS:
        right = EVERY if "-by-subject" not in protocol else EVERY - {(0, 0), (1, 0)}
        write_run(tmp_path, protocol, right, copies={1} if "before" in protocol else ())
    return tmp_path


def test_the_difference_of_two_steps_is_drawn_over_the_same_subjects(toy):
    measured = gap.measure("toy", toy, draws=500)
    last = measured[(measured["quantity"] == "accuracy") & (measured["ladder"] == "plain")].iloc[-1]
    assert last["value"] == 6 / 8
    assert last["worth"] == last["total"] == 2 / 8
    # By hand: in a draw the loss is half the share of the subjects 0 and 1 among the four drawn.
    picks = np.random.default_rng(0).integers(0, 4, (500, 4))
    lost = (picks < 2).sum(axis=1) / 8
    expected = np.quantile(lost, [0.025, 0.975])
    assert last[["worth low", "worth high"]].to_numpy(float) == pytest.approx(expected)


def test_steps_that_do_not_differ_are_worth_exactly_nothing(toy):
    measured = gap.measure("toy", toy, draws=200)
    same = measured[measured["closed"].isin(["same source image", "same patient id"])]
    assert len(same) == 2 * 2 * len(gap.QUANTITIES)
    assert (same[["worth", "worth low", "worth high"]] == 0).all(axis=None)


def test_only_the_first_step_scores_copies(toy):
    measured = gap.measure("toy", toy, draws=50)
    images = measured[measured["quantity"] == "auc"].set_index("label")["images"]
    assert images["copies, then split by image"] == 12
    assert set(images.drop("copies, then split by image")) == {8}


def test_intervals_are_those_of_a_single_run_when_there_is_one(toy):
    measured = gap.measure("toy", toy, draws=300)
    row = measured[(measured["protocol"] == "plain-by-subject")].set_index("quantity")
    folder = toy / "gap" / "toy" / "plain-by-subject" / "toy_none_none_r0"
    expected = metrics.bootstrap(results.read_table(folder), draws=300)
    assert row.loc["accuracy", ["low", "high"]].tolist() == pytest.approx(
        expected.loc["accuracy", ["low", "high"]].tolist()
    )
    assert row.loc["auc", "low"] == pytest.approx(expected.loc["auc", "low"])


def test_a_score_is_the_mean_over_the_repeats(toy):
    write_run(toy, "plain-by-patient", EVERY - {(0, 0), (0, 1), (1, 0), (1, 1)}, repeat=1)
    measured = gap.measure("toy", toy, draws=50)
    row = measured[measured["protocol"] == "plain-by-patient"].set_index("quantity").loc["accuracy"]
    assert row["value"] == (1 + 0.5) / 2
    assert (row["lowest"], row["highest"], row["repeats"], row["splits"]) == (0.5, 1.0, 2, 1)


def test_steps_of_other_subjects_are_not_compared(toy):
    folder = toy / "gap" / "toy" / "plain-by-patient" / "toy_none_none_r0" / "fold-0"
    table = pd.read_csv(folder / "predictions.csv")
    table["subject"] = table["subject"].replace("P0", "someone else")
    table.to_csv(folder / "predictions.csv", index=False)
    with pytest.raises(results.ResultsError, match="other subjects"):
        gap.measure("toy", toy, draws=50)


def test_a_missing_step_is_named(toy):
    (toy / "gap" / "toy" / "plain-by-patient").rename(toy / "elsewhere")
    with pytest.raises(results.ResultsError, match="no run of plain-by-patient"):
        gap.measure("toy", toy, draws=50)


def test_nothing_run_is_an_empty_frame(tmp_path):
    assert gap.measure("sample", tmp_path).empty
    assert gap.steps(gap.measure("sample", tmp_path)).empty


def test_the_table_says_unknown_shares_with_nothing(toy):
    text = gap.steps(gap.measure("toy", toy, draws=50), "accuracy").reset_index()
    assert text["worth"].tolist()[-2:] == ["0.250 (0.000 to 0.500)"] * 2
    assert text["closed here"].iloc[-2] == "same subject, other id"
    assert set(text["subject in training"]) == {"50.0%", ""}
    assert set(text["source image in training"]) == {""}


def test_the_figure_holds_every_score_and_every_difference(toy):
    axes = gap_ladder(gap.measure("toy", toy, draws=50), "accuracy")
    left, right = ([text.get_text() for text in panel.texts] for panel in axes)
    assert sum(" to " in text for text in left) == len(gap.STEPS)
    assert sum("all of these leaks" in text for text in right) == 2
    assert len(right) == len(gap.STEPS)  # one difference less than steps in each ladder, one total


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_original_is_tested_once_in_each_repeat(cells, protocol):
    for repeat in range(2):
        divided = gap.divide(cells, protocol, PROFILE, repeat)
        tested = divided.cells.iloc[np.concatenate([fold.test for fold in divided.folds])]
        originals = tested[~tested["image_id"].str.contains("#")]
        assert sorted(originals["image_id"]) == sorted(cells["image_id"])
        assert ("before" in protocol) == (len(tested) > len(originals))


def test_each_step_closes_the_leak_that_it_names(cells):
    shares = gap.leakage(PROFILE)
    assert shares.loc["copies-before-by-image", "original"] > 0.2
    assert (shares.drop(index="copies-before-by-image")["original"].fillna(0) == 0).all()
    for kind in ("copies-after", "plain"):
        here = shares.loc[[f"{kind}-by-{by}" for by in ("source-image", "patient", "subject")]]
        assert (shares.loc[f"{kind}-by-image", ["source_image", "subject"]] > 0.9).all()
        assert (here["source_image"] == 0).all()
        assert here["patient"].gt(0).tolist() == [True, False, False]
        assert here["subject"].gt(0).tolist() == [True, True, False]
        assert here["bytes"].gt(0).tolist() == [True, True, False]


def test_repeats_draw_other_splits_and_other_copies(cells):
    first, second = (gap.divide(cells, "copies-after-by-image", PROFILE, n) for n in (0, 1))
    assert set(first.folds[0].test) != set(second.folds[0].test)
    assert set(first.cells["image_id"]) != set(second.cells["image_id"])


def test_subjects_that_the_profile_joins_are_one_subject(cells):
    first, second = cells["patient"][cells["patient"] == cells["subject"]].unique()[:2]
    joined = gap.load_cells(PROFILE | {"same_subject": [[first, second]]})
    assert joined["subject"].nunique() == cells["subject"].nunique() - 1
    both = joined["patient"].isin([first, second])
    assert len(set(joined["subject"][both])) == 1
    (fold, *_) = gap.divide(joined, "plain-by-subject", PROFILE).folds
    assert not set(joined["subject"].iloc[fold.train]) & set(joined["subject"].iloc[fold.test])


def test_a_run_goes_on_where_it_stopped(tmp_path, monkeypatch, capsys):
    for name in ("TQDM_DISABLE", "LEUKKIT_PROFILE", "LEUKKIT_RESULTS_DIR"):
        monkeypatch.setenv(name, "1")  # the command line sets the last two
    path = locations.project_dir() / "leukkit" / "gap" / "profiles.toml"
    text = path.read_text().partition("[paper]")[0]
    small = text.partition("[sample]")[2].replace("repeats = 3", "repeats = 1")
    small = small.replace("densenet201", "mobilenet-0.25").replace(
        "image_size = 64", "image_size = 32"
    )
    profile = tmp_path / "small.toml"
    profile.write_text(small)
    folders = gap.run(profile, tmp_path)
    assert len(folders) == len(PROTOCOLS)
    record = folders[-1] / "fold-1" / "fold.json"
    record.unlink()
    kept = (folders[0] / "fold-0" / "fold.json").stat().st_mtime_ns
    figure = tmp_path / "figures" / "gap.png"
    command = ["gap", "--profile", str(profile), "--results-dir", str(tmp_path)]
    assert cli.main([*command, "--figure", str(figure)]) == 0
    assert "by source image" in capsys.readouterr().out
    assert figure.stat().st_size > 10_000
    assert record.exists()
    assert (folders[0] / "fold-0" / "fold.json").stat().st_mtime_ns == kept
    measured = gap.measure(profile, tmp_path, draws=100)
    assert len(measured) == len(gap.STEPS) * len(gap.QUANTITIES)
    assert "449 images of sample-cells (drawn), random mobilenet-0.25" in gap.title(measured)


def test_a_profile_with_a_wrong_key_is_refused(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('dataset = "sample-cells"\nnetwork = "densenet201"\n')
    with pytest.raises(ValueError, match=r"mine\.toml.*missing: backbone.*unknown: network"):
        gap.load(path)
    with pytest.raises(ValueError, match="no profile 'smaple'; it has sample, paper"):
        gap.load("smaple")
