"""Saved models, made once: one small network, and each classifier on features."""

import json
import shutil

import pytest

from leukkit import datasets, papers, predict, runs
from tests.training import tiny

SMALL = """
extends = "sample"
datasets = { cnmc-2019 = "sample-cells" }
leave_out = ["all-idb2"]
[networks.densenet201]
network = "mobilenet-0.25"
[recipe]
width = 1.0
image_size = 64
weights = "none"
c = [10]
gamma = [0.001, 0.1]
kernels = ["rbf"]
"""


@pytest.fixture(scope="session")
def network_run(tmp_path_factory):
    """Return the folder of a finished network with a validation part."""
    folder = tmp_path_factory.mktemp("results")
    # Enough to be better than chance: else no temperature is found.
    enough = [{"epochs": 20, "learning_rate": 0.01}]
    return tiny.cross_validate(folder, folds=2, per_class=40, phases=enough)


@pytest.fixture(scope="session")
def network(network_run):
    return predict.load(network_run / "fold-0")


@pytest.fixture
def copy(network_run, tmp_path):
    """Return a copy of the network's folder that a test may spoil."""
    return shutil.copytree(network_run / "fold-0", tmp_path / "fold-0")


@pytest.fixture(scope="session")
def classifiers(tmp_path_factory):
    """Return the folders of saved classifiers on features, by name."""
    return fitted(tmp_path_factory.mktemp("results"), SMALL, "svm", "svm-scaled", "rf", "xgboost")


@pytest.fixture
def folder(request):
    """Return the fold of the network, or of a classifier, that a test names."""
    if request.param == "network":
        return request.getfixturevalue("network_run") / "fold-0"
    if request.param == "weighty":
        return request.getfixturevalue("weighty")
    return request.getfixturevalue("classifiers")[request.param]


@pytest.fixture(scope="session")
def paths():
    return list(datasets.load("sample-cells")["path"][:3])


def fitted(folder, profile, *names):
    """Fit classifiers of a profile; return their folds."""
    (folder / "small.toml").write_text(profile)
    plan = papers.load("farag2025").plan(str(folder / "small.toml"), "leak-free")
    named = {run.name: run.model_copy(update={"models_kept": [0]}) for run in plan}
    chosen = [named[f"cnmc-2019_densenet201_{name}_augmented"] for name in names]
    made = runs.make(chosen, results_dir=folder)
    return {name: path / "fold-0" for name, path in zip(names, made, strict=True)}


def change(folder, **fields):
    """Change fields of a saved model's record; one of its recipe is named ``recipe__<field>``."""
    record = json.loads((folder / "predictor.json").read_text())
    for name, value in fields.items():
        part, _, inner = name.partition("__")
        record[part] = record[part] | {inner: value} if inner else value
    (folder / "predictor.json").write_text(json.dumps(record))
