import pathlib
import re
import subprocess
import sys
import tomllib

import nbformat
import pytest

ROOT = pathlib.Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def requirement_lines(path):
    lines = [line.partition("#")[0].strip() for line in path.read_text().splitlines()]
    return {line for line in lines if line}


def test_requirements_hold_every_dependency_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(project["dependencies"]) <= requirement_lines(ROOT / "requirements.txt")


def test_every_requirement_is_pinned_in_the_constraints():
    constraints = requirement_lines(ROOT / "constraints.txt")
    requirements = requirement_lines(ROOT / "requirements.txt")
    pinned = {re.split("[=;]", line)[0].strip() for line in constraints}
    assert {re.split("[<>=]", line)[0] for line in requirements} <= pinned


def test_public_modules_are_there_after_importing_the_package_alone():
    used = "audit.run gap.steps honest.measure predictor.predict shortcuts.check metrics.scores"
    code = f"import leukkit; print({', '.join(f'leukkit.{name}' for name in used.split())})"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_begin_alike_and_are_committed_executed(path):
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    first = nbformat.read(NOTEBOOKS[0], as_version=4)
    first_code = [cell for cell in first.cells if cell.cell_type == "code"]
    assert [cell.source for cell in code[:2]] == [cell.source for cell in first_code[:2]]
    assert code[1].metadata["tags"] == ["parameters"]
    assert "not for clinical use" in notebook.cells[0].source
    assert all(cell.execution_count for cell in code), "run `make notebooks` before the commit"
    # without a marked cell nbval would compare nothing
    checked = [cell for cell in code if "nbval-check-output" in cell.metadata.get("tags", [])]
    assert checked and all(cell.outputs for cell in checked)
    assert path.stat().st_size < 3_000_000
    outputs = [output for cell in code for output in cell.outputs]
    assert not any("image/s]" in str(output) for output in outputs), "a progress bar was kept"
