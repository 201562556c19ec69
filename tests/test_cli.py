import subprocess
import sys

import nbformat
import pandas as pd
import pytest

from leukkit import cli, papers
from leukkit.report import notebooks


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with one small notebook of one paper."""
    (tmp_path / "notebooks").mkdir()
    monkeypatch.setattr(notebooks, "project_dir", lambda: tmp_path)
    monkeypatch.setenv("LEUKKIT_RESULTS_DIR", str(tmp_path / "results"))
    monkeypatch.setenv("LEUKKIT_PROFILE", "sample")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(project, source, name="09_try.ipynb"):
    cells = [nbformat.v4.new_code_cell(source)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata["leukkit"] = {"papers": ["farag2025"]}
    path = project / "notebooks" / name
    nbformat.write(notebook, path)
    return path


PRINT_PROFILE = "import os, sys; print(os.environ['LEUKKIT_PROFILE']); print('x', file=sys.stderr)"


def test_reproduce_writes_the_executed_notebook_and_leaves_the_source(project, capsys):
    path = write(project, PRINT_PROFILE)
    before = path.read_bytes()
    assert cli.main(["reproduce", "farag2025"]) == 0
    page = (project / "report" / "09_try.html").read_text()
    assert "sample" in page
    assert path.read_bytes() == before
    assert "not for clinical use" in capsys.readouterr().out


def test_reproduce_keeps_the_executed_notebook_with_the_results_and_writes_the_report(
    project, capsys
):
    write(project, "print(1 + 1)")
    assert cli.main(["reproduce", "farag2025"]) == 0
    kept = nbformat.read(project / "results" / "notebooks" / "sample" / "09_try.ipynb", 4)
    assert kept.cells[0].outputs[0]["text"] == "2\n"
    page = (project / "report" / "index.html").read_text()
    assert 'href="09_try.html"' in page
    assert "report/index.html" in capsys.readouterr().out


def test_in_place_keeps_the_outputs_but_no_log_lines(project):
    path = write(project, PRINT_PROFILE)
    assert cli.main(["reproduce", "farag2025", "--in-place"]) == 0
    outputs = nbformat.read(path, as_version=4).cells[0].outputs
    assert [output["text"] for output in outputs] == ["sample\n"]


def test_a_notebook_that_fails_is_named_with_its_error(project, capsys):
    write(project, "raise RuntimeError('no cells today')")
    assert cli.main(["reproduce", "farag2025"]) == 1
    message = capsys.readouterr().err
    assert "09_try.ipynb" in message and "no cells today" in message
    assert not (project / "report").exists()


def test_an_unknown_paper_lists_the_known_ones(project, capsys):
    assert cli.main(["reproduce", "nobody2030"]) == 1
    message = capsys.readouterr().err
    assert "nobody2030" in message and "farag2025" in message


def test_a_paper_without_a_notebook_says_so(project, capsys):
    write(project, "pass")
    assert cli.main(["reproduce", "mishra"]) == 1
    assert "no notebook for 'mishra'" in capsys.readouterr().err


def test_data_check_prints_the_findings_of_the_sample(capsys):
    assert cli.main(["data", "check", "sample-cells"]) == 0
    text = capsys.readouterr().out
    assert "449 images, 24 patients, 21 subjects" in text
    assert "P15+P20" in text


def test_data_check_without_a_folder_says_where_to_get_it(monkeypatch, capsys):
    monkeypatch.delenv("LEUKKIT_DATA_DIR", raising=False)
    assert cli.main(["data", "check", "cnmc-2019"]) == 1
    message = capsys.readouterr().err
    assert "leukkit data fetch cnmc-2019" in message and "LEUKKIT_DATA_DIR" in message


def test_fetching_all_idb2_says_how_to_apply(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("LEUKKIT_DATA_DIR", str(tmp_path))
    assert cli.main(["data", "fetch", "all-idb2"]) == 1
    assert "homes.di.unimi.it/scotti/all" in capsys.readouterr().err


def test_audit_prints_the_rows_and_writes_them_as_csv(tmp_path, capsys):
    path = tmp_path / "rows.csv"
    assert cli.main(["audit", "patel2025", "--csv", str(path)]) == 0
    text = capsys.readouterr().out
    assert text.startswith("patel2025: ")
    assert "[inconsistent] Table 2: vgg19, cnmc-2019: accuracy 98.87" in text
    assert "TP1078 FN13 TN501 FP7" in text
    rows = pd.read_csv(path)
    assert list(rows.columns)[:4] == ["paper", "where", "claim", "recomputed"]
    assert f"patel2025: {len(rows)} claims" in text


def test_audit_covers_all_papers_and_can_show_one_verdict(capsys):
    assert cli.main(["audit", "--verdict", "inconsistent"]) == 0
    text = capsys.readouterr().out
    assert "[inconsistent]" in text and "[consistent]" not in text
    assert all(f"{key}: " in text for key in papers.KEYS)


def test_audit_of_an_unknown_paper_lists_the_known_ones(capsys):
    assert cli.main(["audit", "nobody2030"]) == 1
    message = capsys.readouterr().err
    assert "nobody2030" in message and "sultana" in message


def test_help_is_quick_because_it_imports_no_tensorflow():
    code = (
        "import sys; from leukkit import cli\n"
        "try: cli.main(['--help'])\n"
        "except SystemExit: print('tensorflow' in sys.modules, 'pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("False False\n")
    assert "reproduce" in done.stdout
