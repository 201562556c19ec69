"""A reader changes one cell and runs on: the notebooks need no file, and keep finished results."""

import os
import pathlib

import nbformat
from nbclient import NotebookClient

NOTEBOOKS = pathlib.Path(__file__).parents[2] / "notebooks"
QUICK = """
extends = "sample"
leave_out = ["all-idb2", "vgg19", "resnet50", "mobilenetv2", "densenet121", "densenet169"]
bootstrap_draws = 100
recipe = { image_size = 32, c = [1.0], gamma = [0.01], kernels = ["rbf"] }
networks = { densenet201 = { network = "mobilenet-0.25" } }
"""


def the_one(cells, text):
    """Return the number of the one cell that holds a text."""
    (found,) = (number for number, source in enumerate(cells) if text in source)
    return found


def test_03_runs_on_with_another_network_and_classifier(tmp_path):
    (tmp_path / "quick.toml").write_text(QUICK)
    notebook = nbformat.read(NOTEBOOKS / "03_densenet201_svm_rf_xgboost.ipynb", as_version=4)
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    first, last = the_one(cells, "recipe = card.recipe("), the_one(cells, '"Table VI"')
    changed = 'recipe = recipe.replace(network="mobilenetv2", classifier="rf")'
    cells = [*cells[: last + 1], f"{cells[first]}\n{changed}", *cells[first + 1 : last + 1]]
    notebook.cells = [nbformat.v4.new_code_cell(source) for source in cells]
    environment = os.environ | {
        "LEUKKIT_PROFILE": str(tmp_path / "quick.toml"),
        "LEUKKIT_RESULTS_DIR": str(tmp_path / "results"),
        "TQDM_DISABLE": "1",
    }
    resources = {"metadata": {"path": str(NOTEBOOKS)}}
    NotebookClient(notebook, timeout=None, resources=resources).execute(env=environment)

    for split in ("published", "leak-free"):
        folder = tmp_path / "results" / "farag2025" / "quick" / split
        own = list(folder.glob("cnmc-2019_densenet201_svm_augmented~*/fold-0/fold.json"))
        assert len(own) == 1
        assert '"mobilenetv2"' in own[0].read_text()
        planned = folder / "cnmc-2019_densenet201_svm_augmented" / "fold-0" / "fold.json"
        assert planned.stat().st_mtime < own[0].stat().st_mtime
    before, after = (
        notebook.cells[number].outputs[-1]["data"]["text/plain"] for number in (last, -1)
    )
    assert before != after  # the reader's own run stands where the proposed one stood
    assert before.count("not run") == after.count("not run")
