import pathlib
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile

import nbformat
import pytest
from packaging.requirements import Requirement

import leukkit
from leukkit import papers

ROOT = pathlib.Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def requirement_lines(path):
    lines = [line.partition("#")[0].strip() for line in path.read_text().splitlines()]
    return {line for line in lines if line}


def names(requirements):
    return {re.split("[<>=;]", line)[0].strip() for line in requirements}


def test_requirements_hold_every_dependency_and_each_is_pinned():
    requirements = requirement_lines(ROOT / "requirements.txt")
    assert set(PROJECT["dependencies"]) <= requirements
    pinned = names(requirement_lines(ROOT / "constraints.txt"))
    tests = names(PROJECT["optional-dependencies"]["test"])
    assert names(requirements) | tests <= pinned


@pytest.mark.parametrize("python", ["3.11.7", "3.12.1", "3.13.0"])
def test_each_pin_is_what_the_requirements_allow(python):
    about = {"python_version": python[:4], "python_full_version": python, "sys_platform": "linux"}
    pins = map(Requirement, requirement_lines(ROOT / "constraints.txt"))
    pinned = {
        pin.name.lower(): next(iter(pin.specifier)).version
        for pin in pins
        if pin.marker is None or pin.marker.evaluate(about)
    }
    tests = PROJECT["optional-dependencies"]["test"]
    for line in [*requirement_lines(ROOT / "requirements.txt"), *tests]:
        requirement = Requirement(line)
        assert requirement.specifier.contains(pinned[requirement.name.lower()]), (line, python)


def test_public_modules_are_there_after_importing_the_package_alone():
    used = [f"leukkit.{name}" for name in leukkit.__all__]
    subprocess.run([sys.executable, "-c", f"import leukkit; print({', '.join(used)})"], check=True)


def test_a_module_that_is_not_there_is_named():
    with pytest.raises(AttributeError, match="module 'leukkit' has no attribute 'protocols'"):
        leukkit.protocols  # noqa: B018


def test_a_wheel_holds_cards_templates_and_the_notebooks(tmp_path):
    source = tmp_path / "source"
    leave_out = shutil.ignore_patterns("__pycache__")
    for name in ("leukkit", "notebooks"):
        shutil.copytree(ROOT / name, source / name, ignore=leave_out)
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path]
    subprocess.run([*command, source], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    assert {f"leukkit/notebooks/{path.name}" for path in NOTEBOOKS} <= held
    files = [path for path in (ROOT / "leukkit").rglob("*.*") if "__pycache__" not in path.parts]
    assert {path.relative_to(ROOT).as_posix() for path in files} <= held


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


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_a_notebook_makes_is_named_as_profiles_plan_it(path):
    """A name taken from the recipe changes with the network that a profile puts in its place."""
    named = re.findall(r"cross_validate\([^)]*\bname=([^,\s)]+)", path.read_text())
    planned = {run.name for key in papers.KEYS for run in papers.load(key).plan("paper")}
    for name in named:
        if '"' in name:
            assert name.strip('\\"') in planned | {"densenet121"}  # 08 has one of its own
        else:
            assert "recipe" not in name
