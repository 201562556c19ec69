"""What can only be seen from outside: a process that is killed, a divided CPU, a full disk."""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pandas as pd
import pytest

from leukkit import results, training
from tests.training import tiny


def start(folder, logical_cpus="1", **settings):
    return subprocess.Popen(
        [sys.executable, "-m", "tests.training.tiny", str(folder), json.dumps(settings)],
        env={**os.environ, "LEUKKIT_LOGICAL_CPUS": logical_cpus, "TQDM_DISABLE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    errors = process.communicate(timeout=300)[1]
    assert process.returncode == 0, errors[-3000:]


def test_a_killed_run_goes_on_to_the_same_end(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    options = {"folds": 4, "phases": [{"epochs": 8, "learning_rate": 0.05}]}
    tiny.cross_validate(whole, **options)

    process = start(killed, **options)
    checkpoint = killed / tiny.run_dir(whole).relative_to(whole) / "fold-2" / "checkpoint.npz"
    until = time.monotonic() + 240
    while not checkpoint.exists():
        assert process.poll() is None, process.communicate()[1][-3000:]
        assert time.monotonic() < until
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    process.stderr.close()
    assert checkpoint.exists()
    assert not (tiny.run_dir(killed) / "fold-2" / "fold.json").exists()
    done = [path for n in (0, 1) for path in (tiny.run_dir(killed) / f"fold-{n}").iterdir()]
    before = {path: path.stat().st_mtime_ns for path in done}

    tiny.cross_validate(killed, **options)
    assert {path: path.stat().st_mtime_ns for path in done} == before
    for table in ("predictions", "validation_predictions"):
        pd.testing.assert_frame_equal(
            results.read_table(tiny.run_dir(killed), table),
            results.read_table(tiny.run_dir(whole), table),
        )
    histories = [
        results.read_table(tiny.run_dir(folder), "history").drop(columns="seconds")
        for folder in (killed, whole)
    ]
    pd.testing.assert_frame_equal(*histories)
    assert not checkpoint.exists()


def test_two_devices_train_as_one_on_batches_that_do_not_divide_evenly(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    options = {"network": "tiny-plain", "batch_size": 5}
    tiny.cross_validate(one, **options)
    finish(start(two, **options, logical_cpus="2"))
    made = [tiny.run_dir(folder, "tiny-plain") for folder in (one, two)]
    columns = ["loss", "validation_loss"]
    losses = [results.read_table(folder, "history")[columns] for folder in made]
    np.testing.assert_allclose(*losses, atol=1e-5)
    assert results.read_record(made[1] / "fold-0").arithmetic.startswith("2 x CPU, mirrored")


def test_threads_are_recorded_and_a_resumed_run_keeps_to_them(tmp_path, monkeypatch):
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "2")
    options = {"folds": 2, "phases": [{"epochs": 1, "learning_rate": 0.05}]}
    finish(start(tmp_path, **options))
    folder = tiny.run_dir(tmp_path)
    assert results.read_record(folder / "fold-0").arithmetic == "1 x CPU, threads: 2"
    (folder / "fold-1" / "fold.json").unlink()
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "3")
    process = start(tmp_path, **options)
    errors = process.communicate(timeout=300)[1]
    assert "on 1 x CPU, threads: 3, but fold-0 was made on 1 x CPU, threads: 2" in errors
    assert process.returncode == 1 and not (folder / "fold-1" / "fold.json").exists()


def test_folds_on_three_devices_are_complete_finite_and_repeatable(tmp_path):
    # 14 images in 3 folds: test parts of 4 and 5, so batches of 4, which do not divide evenly,
    # leave a last one of 1 image, and two devices without any.
    options = {"network": "tiny-normalized", "per_class": 7, "batch_size": 4}
    options |= {"phases": [{"epochs": 1, "learning_rate": 0.05}], "logical_cpus": "3"}
    first, second = tmp_path / "first", tmp_path / "second"
    finish(start(first, **options))
    made = tiny.run_dir(first, "tiny-normalized")
    predictions = results.read_table(made)
    assert (predictions.groupby("fold").size() % 4 == 1).any()
    assert sorted(predictions["image_id"]) == sorted(tiny.cells(7)["image_id"])
    assert np.isfinite(predictions[["prob_healthy", "prob_ALL"]]).all(axis=None)

    again = second / made.relative_to(first) / "fold-2"  # two folds again are enough to compare
    shutil.copytree(made / "fold-2", again)
    finish(start(second, **options))
    pd.testing.assert_frame_equal(
        results.read_table(tiny.run_dir(second, "tiny-normalized")), predictions
    )


def test_a_full_disk_names_the_fold_and_loses_nothing(tmp_path):
    finished = tiny.cross_validate(tmp_path)
    shutil.rmtree(finished / "fold-2")
    before = {path: path.stat().st_mtime_ns for path in finished.glob("fold-[01]/*")}
    limited = textwrap.dedent(
        f"""
        import resource
        from leukkit import images
        from tests.training import tiny
        images.load(tiny.cells(), images.Preparation(32))
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
        tiny.cross_validate({str(tmp_path)!r})
        """
    )
    failed = subprocess.run(
        [sys.executable, "-c", limited], capture_output=True, text=True, timeout=300
    )
    assert failed.returncode == 1
    (message,) = [line for line in failed.stderr.splitlines() if "TrainingError: " in line]
    for part in ("fold-2: the fold could not be written", "space", "finished folds are untouched"):
        assert part in message
    assert not list(finished.glob("fold-2/*.json"))
    assert not list(finished.glob("fold-2/.[!l]*"))  # no half-written file, but the lock
    assert {path: path.stat().st_mtime_ns for path in before} == before
    tiny.cross_validate(tmp_path)
    assert (finished / "fold-2" / "fold.json").exists()


def test_several_processes_are_refused_with_the_alternative(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {"worker": ["a:1", "b:1"]}}')
    training.strategy.cache_clear()
    with pytest.raises(training.TrainingError, match=r"2 processes.*joblib\.parallel_config"):
        training.strategy()


def test_dividing_the_cpu_too_late_is_said(monkeypatch):
    import tensorflow as tf

    tf.constant(1.0) + 1.0
    monkeypatch.setenv("LEUKKIT_LOGICAL_CPUS", "2")
    training.strategy.cache_clear()
    with pytest.raises(training.TrainingError, match="came too late"):
        training.strategy()
    training.strategy.cache_clear()


def test_workers_say_nothing_of_the_start_of_tensorflow(tmp_path):
    """Each fold in a process of its own, with none of the variables set that keep it quiet."""
    script = """
        import sys
        from leukkit import datasets, splits, training
        cells = datasets.load("sample-cells")
        few = cells.groupby("label").head(12).reset_index(drop=True)
        few.attrs = cells.attrs
        split = splits.divide(few, {"split": "stratified", "folds": 2, "validation": 0.2})
        phases = [{"epochs": 1, "learning_rate": 1e-3}]
        recipe = training.Recipe(
            network="vgg16", width=0.125, image_size=32, batch_size=4, phases=phases
        )
        training.cross_validate(split, recipe, name="two", jobs=2, results_dir=sys.argv[1])
    """
    quiet = {"TF_CPP_MIN_LOG_LEVEL", "TF_ENABLE_ONEDNN_OPTS", "CUDA_VISIBLE_DEVICES"}
    there = {name: value for name, value in os.environ.items() if name not in quiet}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)],
        env=there | {"TQDM_DISABLE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(list(tmp_path.glob("own/**/fold-*/fold.json"))) == 2
    assert done.stderr == ""
