"""What nbval is told about the notebooks' outputs (notebooks/conftest.py)."""

import pathlib
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import nbformat
import pytest

import leukkit

CONFTEST = pathlib.Path(__file__).parents[2] / "notebooks" / "conftest.py"
TABLE = "svm 91.2 (88.0 to 93.5)\nforest 74.1 (70.3 to 78.2)"
BARS = """
import sys
from leukkit.files import progress
print(list(progress(range(3), "counting")), "in 1.5 s")
print("chatter", file=sys.stderr)
"""
CHECK = "from leukkit import environment\nenvironment.check()"
CHECKED = f"leukkit 0.1.0, Python 3.9.1, numpy 2.1.3\nGPUs: GPU:0\n{leukkit.NOT_FOR_CLINICAL_USE}"


def printed(text):
    return f'print("""{text}""")'


CELLS = {  # by whose arithmetic the outputs were made: source, committed output, is it the same
    "here": [
        (printed(TABLE), TABLE, True),
        (printed(TABLE.replace("91.2", "91.3")), TABLE, False),
        # bars, log lines, times, versions and devices are not compared
        (BARS, "[0, 1, 2] in 22 s", True),
        (BARS, "[0, 1] in 22 s", False),
        (CHECK, CHECKED, True),
        (CHECK, CHECKED.replace("clinical", "other"), False),
    ],
    "other": [
        # numbers have a tolerance
        (printed(TABLE.replace("91.2", "87.0")), TABLE, True),
        (printed(TABLE.replace("74.1", "61.0")), TABLE, True),
        (printed(TABLE.replace("74.1", "31.0").replace("91.2", "50.0")), TABLE, False),
        (printed(TABLE.replace("91.2", "nan")), TABLE, False),
        (printed(TABLE.replace("forest", "tree")), TABLE, False),
        (printed("\n".join(reversed(TABLE.splitlines()))), TABLE, True),
        (printed(TABLE + "\nxgboost 90.0 (86.1 to 92.9)"), TABLE, False),
        # differences of percentages: in points
        *((printed(f"points: {n}"), "points: 1.5", n < 4) for n in (1.9, -0.4, 4.0)),
        # a threshold tipped: the other class gets it
        (printed("recall 22.5"), "recall 79.9", True),
        (printed("accuracy 22.5"), "accuracy 79.9", False),
        (printed("<Figure size 54x35 with 7 Axes>"), "<Figure size 70x35 with 9 Axes>", True),
        ("1 / 0", "", False),
    ],
}


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """Run nbval with nothing set; return what it printed, and whether each cell passed."""
    folder = tmp_path_factory.mktemp("notebooks")
    for numerics, contents in CELLS.items():
        cells = [nbformat.v4.new_code_cell(source, execution_count=1) for source, *_ in contents]
        for cell, (_, text, _) in zip(cells, contents, strict=True):
            output = nbformat.v4.new_output("stream", name="stdout", text=f"{text}\n")
            cell.outputs = [output] if text else []
        about = {"leukkit": {"numerics": numerics}}
        notebook = nbformat.v4.new_notebook(cells=cells, metadata=about)
        nbformat.write(notebook, folder / f"{numerics}.ipynb")
    here = "environment.fingerprint = lambda: 'here'"  # which takes seconds to compute
    (folder / "conftest.py").write_text(f"{CONFTEST.read_text()}\n\n{here}\n")
    command = "-m pytest --nbval -n 1 -p no:cacheprovider --rootdir . --junitxml told.xml"
    done = subprocess.run(
        [sys.executable, *command.split()], cwd=folder, capture_output=True, text=True
    )
    told = ElementTree.parse(folder / "told.xml").iter("testcase")
    return done.stdout, {(one.get("classname"), one.get("name")): not len(one) for one in told}


@pytest.mark.parametrize(
    ("numerics", "number"), [(key, n) for key, cells in CELLS.items() for n in range(len(cells))]
)
def test_numbers_of_other_arithmetic_have_a_tolerance_and_nothing_else_has(
    compared, numerics, number
):
    said, passed = compared
    assert passed[f"{numerics}.ipynb", f"Cell {number}"] == CELLS[numerics][number][2], said


def test_a_rough_comparison_is_said(compared):
    assert "other.ipynb is compared roughly" in compared[0]
    assert "here.ipynb is compared roughly" not in compared[0]
