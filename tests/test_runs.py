"""The whole way from a profile to results, on synthetic cells with one small network."""

import os
import signal

import joblib
import numpy as np
import pandas as pd
import pytest
import threadpoolctl

from leukkit import environment, files, metrics, models, papers, results, runs, splits
from leukkit.classifiers import folds
from leukkit.models import weights
from leukkit.papers.profiles import Run
from tests.datasets import trees

SMALL = """
leave_out = ["all-idb2", "vgg*", "resnet*", "mobile*", "densenet121", "densenet169", "*xgboost*"]
datasets = { cnmc-2019 = "sample-cells" }

[networks]
densenet201 = { network = "mobilenet-0.25" }

[recipe]
image_size = 32
weights = "none"
normalization = "backbone"
c = [1, 10]
gamma = [0.1, 0.001]
kernels = ["rbf"]

[copies]
cnmc-2019 = { counts = { healthy = 300, ALL = 300 } }

[splits.image-level]
split = "stratified"
folds = 3
tuning = 2

[splits.leak-free]
split = "subject"
folds = 3
augment = "after"
copies = { data_set = true }
tuning = 2

[splits.published]
split = "holdout"
test = 0.2
augment = "before"
copies = { data_set = true }
tuning = 2
tuned_by_image = true
"""
PLAIN, AUGMENTED = "cnmc-2019_densenet201_svm", "cnmc-2019_densenet201_rf_augmented"


@pytest.fixture(scope="module")
def profile(tmp_path_factory):
    path = tmp_path_factory.mktemp("profile") / "small.toml"
    path.write_text(SMALL)
    return str(path)


def planned(profile, *names, split=None):
    found = papers.load("farag2025").plan(profile, split)
    return [run for run in found if run.name in names and run.split != "patient"]


@pytest.fixture(scope="module")
def finished(profile, tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    runs.make(planned(profile, PLAIN, AUGMENTED), results_dir=folder)
    return folder


def read(folder, run):
    return results.read_table(runs.folder(run, folder))


def run_of(profile, name, split):
    (found,) = planned(profile, name, split=split)
    return found


def test_the_leak_free_split_tests_every_cell_once(profile, finished):
    cells = runs.load_cells("sample-cells")
    for name in (PLAIN, AUGMENTED):
        predictions = read(finished, run_of(profile, name, "leak-free"))
        assert sorted(predictions["image_id"]) == sorted(cells["image_id"])


def test_the_published_split_tests_a_fifth_of_the_copied_images(profile, finished):
    predictions = read(finished, run_of(profile, AUGMENTED, "published"))
    assert len(predictions) == 120
    assert predictions["image_id"].str.contains("#").any()


def test_what_was_learned_holds_for_other_images_and_for_other_subjects(profile, finished):
    by_image, by_subject = (
        metrics.scores(read(finished, run_of(profile, PLAIN, split)))["auc"]
        for split in ("image-level", "leak-free")
    )
    assert min(by_image, by_subject) > 0.7


def test_a_finished_run_is_not_made_again_and_a_cell_of_a_notebook_shares_it(
    profile, finished, monkeypatch
):
    monkeypatch.setattr(folds, "extract", lambda *_: pytest.fail("features were extracted again"))
    run = run_of(profile, PLAIN, "leak-free")
    before = [path.stat().st_mtime_ns for path in sorted(finished.rglob("*.json"))]
    runs.make([run], results_dir=finished)
    split = splits.divide(runs.load_cells(run.data), run.table, run.seed)
    shared = folds.cross_validate(split, run.recipe, name=run.name, results_dir=finished)
    assert shared == runs.folder(run, finished)
    assert [path.stat().st_mtime_ns for path in sorted(finished.rglob("*.json"))] == before


def test_a_support_vector_machine_is_not_gone_on_with_on_other_threads(profile, tmp_path):
    svm = run_of(profile, PLAIN, "leak-free")
    runs.make([svm], results_dir=tmp_path)
    fold = runs.folder(svm, tmp_path) / "fold-0"
    with threadpoolctl.threadpool_limits(1, "blas"):
        assert folds._arithmetic(svm.recipe) == "CPU, threads of BLAS: 1"
        assert folds._arithmetic(svm.recipe.replace(classifier="rf")) == ""
    made_on = results.read_record(fold).arithmetic
    (fold / "fold.json").unlink()
    more = int(made_on.rpartition(" ")[2]) + 1
    with (
        threadpoolctl.threadpool_limits(more, "blas"),
        pytest.raises(results.ConfigurationError, match=rf"BLAS: {more}, but.*{made_on}:"),
    ):
        runs.make([svm], results_dir=tmp_path)
    runs.make([svm], results_dir=tmp_path)
    assert results.read_record(fold).arithmetic == made_on


def test_an_interrupted_run_goes_on_with_the_next_fold(profile, finished, tmp_path, monkeypatch):
    run, fits, original = run_of(profile, AUGMENTED, "leak-free"), [], folds.fit

    def dies_in_the_second_fold(*arguments):
        fits.append(1)
        if len(fits) == 2:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(folds, "fit", dies_in_the_second_fold)
    with pytest.raises(KeyboardInterrupt):
        runs.make([run], results_dir=tmp_path)
    first = runs.folder(run, tmp_path) / "fold-0" / "fold.json"
    written = first.stat().st_mtime_ns
    monkeypatch.setattr(folds, "fit", original)
    runs.make([run], results_dir=tmp_path)
    assert first.stat().st_mtime_ns == written
    pd.testing.assert_frame_equal(read(tmp_path, run), read(finished, run))


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_log_says_how_far_the_runs_are(profile, finished, tmp_path, monkeypatch, capsys, jobs):
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    monkeypatch.setattr(files, "SECONDS_BETWEEN_LINES", 0)
    runs.make([run_of(profile, AUGMENTED, "leak-free")], results_dir=tmp_path, jobs=jobs)
    said = capsys.readouterr().err
    for done in (1, 2, 3):
        assert f"runs: {done} of 3 parts, " in said


def test_folds_are_made_one_by_one_in_this_process_where_it_has_one_core(
    profile, finished, tmp_path, monkeypatch
):
    fit, seen_here = folds.fit, []
    monkeypatch.setattr(environment, "usable_cores", lambda: 1)
    monkeypatch.setattr(folds, "fit", lambda *all_: seen_here.append(1) or fit(*all_))
    run = run_of(profile, AUGMENTED, "leak-free")
    runs.make([run], results_dir=tmp_path, jobs=2)
    assert len(seen_here) == 3
    pd.testing.assert_frame_equal(read(tmp_path, run), read(finished, run))


def test_a_dask_worker_that_is_killed_in_mid_fold_costs_no_prediction(profile, finished, tmp_path):
    distributed = pytest.importorskip("distributed", reason="several machines need Dask")

    def die_in_the_next_fold(marker=str(tmp_path / "killed")):
        def die(*_):
            with open(marker, "w") as file:  # noqa: PTH123
                file.write(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)

        folds.fit = die

    (run,) = planned(profile, PLAIN, split="leak-free")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        one, _ = before = client.run(os.getpid)
        client.run(die_in_the_next_fold, workers=[one])
        with joblib.parallel_config(backend="dask"):
            runs.make([run], results_dir=tmp_path)
    assert int((tmp_path / "killed").read_text()) == before[one]
    pd.testing.assert_frame_equal(read(tmp_path, run), read(finished, run))


def test_other_settings_do_not_overwrite_a_planned_run(profile, finished):
    run = run_of(profile, PLAIN, "leak-free")
    assert run.recipe is not None
    changed = run.model_copy(update={"recipe": run.recipe.replace(c=[1.0])})
    with pytest.raises(results.ConfigurationError, match=r"recipe\.c"):
        runs.make([changed], results_dir=finished)


def test_an_unknown_network_is_named_before_any_is_trained(tmp_path, monkeypatch):
    monkeypatch.setattr(runs.joblib, "Parallel", lambda **_: pytest.fail("training has begun"))
    path = tmp_path / "mine.toml"
    path.write_text('extends = "sample"\n[runs.vgg-16]\nmodels_kept = [0]\n')
    planned = papers.load("mishra").plan(str(path), "published")
    assert {run.name for run in planned} > {"vgg-16"}
    with pytest.raises(ValueError, match=r"unknown backbone 'vgg-16'; choose one of: .*vgg16"):
        runs.make(planned, results_dir=tmp_path)


def test_weights_that_cannot_be_downloaded_stop_all_runs_before_the_first(
    tmp_path, monkeypatch, offline
):
    monkeypatch.setattr(runs, "load_cells", lambda *_: pytest.fail("images are looked for"))
    with pytest.raises(models.WeightsError, match=r"cannot be downloaded .*put the file at"):
        runs.make(papers.load("sultana").plan("paper"), results_dir=tmp_path)
    runs.fetch_weights(papers.load("sultana").plan("sample"))  # which needs no download
    assert len(offline) == 1


def test_the_weights_of_every_network_of_a_profile_are_fetched_each_once(tmp_path, monkeypatch):
    fetched = []
    monkeypatch.setattr(weights, "_keras_file", lambda name, url, *_: fetched.append((name, url)))
    runs.fetch_weights(papers.load("sultana").plan("paper"))
    six = ["vgg19", "inceptionv3", "mobilenetv2", "xception", "densenet201", "seresnet152"]
    assert [name for name, _ in fetched] == [*six, "densenet121", "efficientnetb7"]
    fetched.clear()
    runs.fetch_weights(papers.load("patel2025").plan("paper"))  # VGG-19's dense layers, too
    assert [name for name, _ in fetched] == ["vgg19", "resnet18", "vgg19"]
    assert fetched[0][1] != fetched[2][1] == weights.VGG19_DENSE_URL


def test_the_chosen_hyperparameters_and_the_grid_are_kept(profile, finished):
    folder = runs.folder(run_of(profile, PLAIN, "published"), finished)
    chosen = results.read_record(folder / "fold-0").selected
    grid = results.read_fold(folder / "fold-0", "grid")
    best = grid.loc[grid["mean_test_score"].idxmax()]
    assert chosen == {"C": best["param_C"], "gamma": best["param_gamma"], "kernel": "rbf"}
    assert len(grid) == 4


def test_leakage_falls_from_split_to_split(profile):
    several = [run_of(profile, AUGMENTED, split) for split in ("published", "leak-free")]
    table = runs.leakage(several)
    assert table.loc["published", "subject"] == 1 and table.loc["published", "original"] > 0
    assert (table.loc["leak-free"].drop("test images") == 0).all()


@pytest.mark.parametrize(
    ("networks", "jobs", "tasks"), [(4, 2, 4), (3, 2, 9), (1, 1, 3), (4, None, 12)]
)
def test_a_process_keeps_a_network_where_there_are_enough(networks, jobs, tasks, monkeypatch):
    from leukkit.training import folds as training

    done, by_one = [], tasks == networks

    def two_folds_or_one(place, *_, **options):
        assert options["by_one"] is by_one
        return [joblib.delayed(done.append)((place, fold)) for fold in range(2 - place % 2)]

    monkeypatch.setattr(training, "tasks", two_folds_or_one)
    monkeypatch.setattr(training.network, "in_the_graph", lambda recipe: recipe)
    planned = [(run, None, f"network {run // 2}") for run in range(2 * networks)]
    waiting = training.spread(planned, jobs)
    assert len(waiting) == tasks
    for function, arguments, options in waiting:
        function(*arguments, **options)
    assert sorted(done) == [(p, f) for p in range(2 * networks) for f in range(2 - p % 2)]


# --------------------------------------------------------------------------------- an ensemble

MEMBERS = {"a_member": 0.6, "b_member": 0.9, "c_member": 0.3}


def write_members(folder, run, shift=0):
    """Write finished folds of three members that are this sure of the right class."""
    split = runs.split_of(run)
    classes = np.array(split.cells.attrs["classes"])
    right = split.cells["label"].to_numpy(object)[:, None] == classes
    for name, sure in MEMBERS.items():
        recipe = papers.load("sultana").recipe("densenet121_member", "sample")
        recipe = recipe.replace(batch_size=int(100 * sure) + shift)
        member = run.model_copy(update={"name": name, "members": []})
        place = results.place(split, recipe, name, 0, planned=member, base=folder)
        scores = np.where(right, sure, 0) + (1 - sure) / len(classes)
        for number in place.missing:
            parts = ("training_predictions", "validation_predictions", "predictions")
            tables = {
                part: metrics.prediction_frame(
                    split.cells.iloc[positions], scores[positions], list(classes)
                )
                for part, positions in zip(parts, split.folds[number], strict=True)
            }
            facts = {"seconds": 1.0, "weights_used": f"by {name[0]}"}
            configuration = place.folds[number]
            results.write_fold(place.fold(number), configuration, split, number, tables, **facts)


@pytest.fixture
def ensemble() -> Run:
    card = papers.load("sultana")
    (run,) = [run for run in card.plan("sample", "leak-free") if run.name == "dex_ensemble"]
    return run.model_copy(update={"members": list(MEMBERS)})


def test_an_ensemble_is_the_mean_of_its_members_and_weighted_by_validation(ensemble, tmp_path):
    write_members(tmp_path, ensemble)
    (folder,) = runs.make([ensemble], results_dir=tmp_path)
    records = results.read_records(folder)
    assert len(records) == ensemble.table["folds"] > 1
    mean = results.read_fold(folder / "fold-0")
    sure = np.mean(list(MEMBERS.values()))
    classes = [name for name in mean if name.startswith("prob_")]
    of_label = [row[f"prob_{row['label']}"] for row in mean.to_dict("records")]
    assert of_label == pytest.approx([sure + (1 - sure) / len(classes)] * len(mean))
    assert list(records[0].selected) == list(MEMBERS)
    assert records[0].selected["b_member"] == 1  # the surest is always right
    assert records[0].weights_used == "a_member: by a; b_member: by b; c_member: by c"
    weighted = results.read_fold(folder / "fold-0", "weighted_predictions")
    first = weighted.iloc[0]
    assert first[f"prob_{first['label']}"] == pytest.approx(0.9 + 0.1 / len(classes))


def test_a_finished_ensemble_is_left_alone_and_one_of_other_members_is_refused(ensemble, tmp_path):
    write_members(tmp_path, ensemble)
    (folder,) = runs.make([ensemble], results_dir=tmp_path)
    before = (folder / "fold-0" / "fold.json").read_bytes()
    runs.make([ensemble], results_dir=tmp_path)
    assert (folder / "fold-0" / "fold.json").read_bytes() == before
    for name in MEMBERS:
        for path in (folder.with_name(name)).rglob("fold.json"):
            path.unlink()
    write_members(tmp_path, ensemble, shift=5)
    with pytest.raises(results.ConfigurationError, match="different: members"):
        runs.make([ensemble], results_dir=tmp_path)
    assert (folder / "fold-0" / "fold.json").read_bytes() == before


def test_a_member_that_was_not_trained_is_named(ensemble, tmp_path):
    with pytest.raises(FileNotFoundError, match="a_member"):
        runs.make([ensemble], results_dir=tmp_path)


def test_a_profile_may_name_a_folder_of_ones_own(tmp_path):
    lines = ["file,label,patient"]
    for seed in range(24):
        patient, label = seed // 2, ("healthy", "ALL")[seed // 2 % 2]
        trees.write(tmp_path / f"{seed}.png", seed, 32)
        lines.append(f"{seed}.png,{label},P{patient}")
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n")
    path = tmp_path / "own.toml"
    path.write_text(SMALL.replace('"sample-cells"', f'"{tmp_path}"'))
    planned = papers.load("farag2025").plan(str(path), "leak-free")
    run = next(run for run in planned if run.name == PLAIN)
    (folder,) = runs.make([run], results_dir=tmp_path / "results")
    predictions = results.read_table(folder)
    assert len(predictions) == 24 and predictions["subject"].nunique() == 12
    # A reader's own call finds the planned run: the plain name, and nothing to make.
    place = results.place(
        runs.split_of(run), run.recipe, run.name, run.seed, base=tmp_path / "results"
    )
    assert (place.folder, place.missing) == (folder, [])
