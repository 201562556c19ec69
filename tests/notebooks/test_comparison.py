"""What nbval is told about the notebooks' outputs (notebooks/conftest.py)."""

import pathlib
import subprocess
import sys

import nbformat
import pytest

import leukkit

CONFTEST = pathlib.Path(__file__).parents[2] / "notebooks" / "conftest.py"
TABLE = "svm 91.2 (88.0 to 93.5)\nforest 74.1 (70.3 to 78.2)"


def run(folder, source, output, numerics="here", mode="--nbval"):
    """Commit a notebook whose cell once printed ``output``, run nbval with nothing set."""
    cell = nbformat.v4.new_code_cell(source, execution_count=1)
    cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=output)] if output else []
    notebook = nbformat.v4.new_notebook(cells=[cell], metadata={"leukkit": {"numerics": numerics}})
    nbformat.write(notebook, folder / "one.ipynb")
    here = "environment.fingerprint = lambda: 'here'"  # which takes seconds to compute
    (folder / "conftest.py").write_text(f"{CONFTEST.read_text()}\n\n{here}\n")
    command = [sys.executable, "-m", "pytest", mode, "-n", "1", "-p", "no:cacheprovider"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("printed", "numerics", "passes"),
    [
        (TABLE, "here", True),
        (TABLE.replace("91.2", "91.3"), "here", False),
        (TABLE.replace("91.2", "87.0"), "other", True),
        (TABLE.replace("74.1", "61.0"), "other", True),
        (TABLE.replace("74.1", "31.0").replace("91.2", "50.0"), "other", False),
        (TABLE.replace("91.2", "nan"), "other", False),
        (TABLE.replace("forest", "tree"), "other", False),
        ("\n".join(reversed(TABLE.splitlines())), "other", True),
        (TABLE + "\nxgboost 90.0 (86.1 to 92.9)", "other", False),
    ],
)
def test_numbers_of_other_arithmetic_have_a_tolerance(tmp_path, printed, numerics, passes):
    done = run(tmp_path, f'print("""{printed}""")', TABLE + "\n", numerics)
    assert (done.returncode == 0) == passes, done.stdout
    assert ("is compared roughly" in done.stdout) == (numerics == "other")


@pytest.mark.parametrize(("value", "passes"), [("1.9", True), ("-0.4", True), ("4.0", False)])
def test_differences_of_percentages_are_compared_in_points(tmp_path, value, passes):
    done = run(tmp_path, f'print("points: {value}")', "points: 1.5\n", "other")
    assert (done.returncode == 0) == passes, done.stdout


@pytest.mark.parametrize(
    ("made", "committed", "passes"),
    [
        ("recall 22.5", "recall 79.9", True),  # a threshold tipped: the other class gets it
        ("accuracy 22.5", "accuracy 79.9", False),
        ("<Figure size 540x350 with 7 Axes>", "<Figure size 700x350 with 9 Axes>", True),
    ],
)
def test_what_tips_under_other_arithmetic_is_compared_widely(tmp_path, made, committed, passes):
    done = run(tmp_path, f'print("""{made}""")', f"{committed}\n", "other")
    assert (done.returncode == 0) == passes, done.stdout


def test_a_cell_that_fails_fails_under_any_arithmetic(tmp_path):
    assert run(tmp_path, "1 / 0", "", "other").returncode == 1


def test_bars_log_lines_and_times_are_not_compared(tmp_path):
    source = """
import sys
from leukkit.files import progress
print(list(progress(range(3), "counting")), "in 1.5 s")
print("chatter", file=sys.stderr)
"""
    done = run(tmp_path, source, "[0, 1, 2] in 22 s\n", mode="--nbval")
    assert done.returncode == 0, done.stdout
    assert run(tmp_path, source, "[0, 1] in 22 s\n").returncode == 1


def test_versions_and_devices_are_not_compared(tmp_path):
    source = "from leukkit import environment\nenvironment.check()"
    said = (
        f"leukkit 0.1.0, Python 3.9.1, numpy 2.1.3\nGPUs: GPU:0\n{leukkit.NOT_FOR_CLINICAL_USE}\n"
    )
    assert run(tmp_path, source, said).returncode == 0
    assert run(tmp_path, source, said.replace("clinical", "other")).returncode == 1
