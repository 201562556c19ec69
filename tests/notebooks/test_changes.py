"""A reader changes a cell and runs on: the run gets a folder of its own, finished ones stay."""

import os
import pathlib

import nbformat
import numpy as np
import pandas as pd
import pytest
from nbclient import NotebookClient

from leukkit import metrics, papers, results, runs

NOTEBOOKS = pathlib.Path(__file__).parents[2] / "notebooks"
MY_HEAD = """
def my_head(features):
    from keras import layers

    return layers.Dense(8, activation="relu")(layers.GlobalMaxPooling2D()(features))
"""


def finish(key, base):
    """Write every planned run of a paper's sample as if it were finished; return the files."""
    numbers = ("loss", "accuracy", "validation_loss", "validation_accuracy")
    history = pd.DataFrame({"epoch": [1, 2], **dict.fromkeys(numbers, 0.5)})
    for run in papers.load(key).plan("sample"):
        split = runs.split_of(run)
        classes = split.cells.attrs["classes"]
        place = results.place(split, run.recipe, run.name, run.seed, planned=run, base=base)
        for number, fold in enumerate(split.folds):
            tables = {"history": history}
            for name, rows in (("predictions", fold.test), ("training_predictions", fold.train)):
                chances = np.random.default_rng(0).dirichlet(np.ones(len(classes)), len(rows))
                frame = metrics.prediction_frame(split.cells.iloc[rows], chances, classes)
                tables[name] = frame
            configuration = place.folds[number]
            results.write_fold(place.fold(number), configuration, split, number, tables, seconds=1)
    return content_of(base)


def content_of(base):
    return {path: path.read_bytes() for path in base.rglob("*") if path.is_file()}


def execute(name, base, profile="sample", changes=(), last=""):
    """Run a notebook with some texts changed up to the cell with ``last``; return its output."""
    notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for old, new in dict(changes).items():
        (cell,) = [cell for cell in code if old in cell.source]
        cell.source = cell.source.replace(old, new)
    end = max(number for number, cell in enumerate(code) if last in cell.source)
    notebook.cells = code[: end + 1]
    place = {"metadata": {"path": str(NOTEBOOKS)}}
    client = NotebookClient(notebook, timeout=None, kernel_name="python3", resources=place)
    here = {"LEUKKIT_RESULTS_DIR": str(base), "LEUKKIT_PROFILE": str(profile)}
    client.execute(env={**os.environ, **here})
    return code[end].outputs


CHANGES = {
    "01_vgg19_7fold.ipynb": (
        "patel2025",
        {
            "for name in profile.splits}": "for name in profile.splits}\n"
            "for name in ('published', 'leak-free'):\n    tables[name] |= {'folds': 2}",
            'card.recipe("vgg19", PROFILE)': 'card.recipe("vgg19", PROFILE).replace(\n'
            "    network='mobilenetv2', width=0.25, head='pooled',\n"
            "    phases=[{'epochs': 1, 'learning_rate': 1e-3}], steps=1)",
        },
        'report.table(compared, "Table 2", model="vgg19")',
        {"published/vgg19~": 2, "leak-free/vgg19~": 2},
    ),
    "02_vgg16_custom_cnn.ipynb": (
        "mishra",
        {
            "for name in profile.splits}": "for name in profile.splits}\n"
            "tables['leak-free'] |= {'folds': 2}",
            'recipe = card.recipe("vgg16-cnn", PROFILE)': MY_HEAD
            + 'recipe = card.recipe("vgg16-cnn", PROFILE).replace(\n'
            "    head=my_head, image_size=32, phases=[\n"
            "        {'epochs': 1, 'learning_rate': 1e-3, 'trainable': 'head'}])",
        },
        'report.table(compared, "Table 3")',
        {"published/vgg16-cnn~": 1, "split-first/vgg16-cnn~": 1, "leak-free/vgg16-cnn~": 2},
    ),
    "03_densenet201_svm_rf_xgboost.ipynb": (
        "farag2025",
        {
            '    "all-idb2": f"all-idb2_{BACKBONE}_svm_segmented_augmented",\n': "",
            'segmented_augmented", PROFILE)': 'segmented_augmented", PROFILE)\n'
            "recipe = recipe.replace(network='mobilenetv2', width=0.25, classifier='rf',\n"
            "    image_size=32)",
        },
        'report.table(compared, "Table VI")',
        {
            "published/cnmc-2019_densenet201_svm_augmented~": 1,
            "leak-free/cnmc-2019_densenet201_svm_augmented~": 3,
        },
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_notebook_runs_on_and_touches_no_finished_run(name, tmp_path):
    key, changes, last, expected = CHANGES[name]
    before = finish(key, tmp_path)
    (shown, *_) = execute(name, tmp_path, changes=changes, last=last)
    after = content_of(tmp_path)
    assert {path: after[path] for path in before} == before
    for start, folds in expected.items():
        assert len(list(tmp_path.glob(f"{key}/sample/{start}*/fold-*/fold.json"))) == folds
    assert "not run" not in shown["data"]["text/plain"]
    assert not list(tmp_path.glob("own"))


SMALL = """
extends = "sample"
leave_out = ["cnmc-2019", "vgg19", "resnet50", "densenet*", "*xgboost*"]
[recipe]
image_size = 32
weights = "none"
c = [1]
gamma = [0.01]
kernels = ["rbf"]
"""


def test_farags_notebook_runs_without_c_nmc_and_with_another_backbone(tmp_path):
    (tmp_path / "small.toml").write_text(SMALL)
    execute("03_densenet201_svm_rf_xgboost.ipynb", tmp_path, profile=tmp_path / "small.toml")
    made = {path.parts[-3] for path in tmp_path.rglob("fold.json")}
    assert "all-idb2_mobilenetv2_svm_segmented_augmented" in made
    assert not any(name.startswith("cnmc-2019") for name in made)
