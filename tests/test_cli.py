import json
import os
import shutil
import signal
import subprocess
import sys
import time

import nbformat
import pandas as pd
import pytest

from leukkit import cli, models, papers, runs
from leukkit.report import notebooks
from tests.datasets import trees


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A checkout without a paper's notebook, and the folder to work in."""
    (tmp_path / "notebooks").mkdir()
    monkeypatch.setattr(notebooks, "PACKAGE", tmp_path / "leukkit")
    monkeypatch.setenv("LEUKKIT_RESULTS_DIR", str(tmp_path / "results"))
    monkeypatch.setenv("LEUKKIT_PROFILE", "sample")
    monkeypatch.delenv("LEUKKIT_TRACEBACK", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(project, source, name="09_try.ipynb"):
    cells = [nbformat.v4.new_code_cell(source)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata["leukkit"] = {"papers": ["farag2025"]}
    path = project / "notebooks" / name
    nbformat.write(notebook, path)
    return path


PRINT_PROFILE = """
import os, sys, pandas
print(os.environ["LEUKKIT_PROFILE"])
print("x", file=sys.stderr)
pandas.DataFrame({"a": [1]}).style
"""


def test_reproduce_keeps_the_executed_notebook_and_the_report_and_in_place_the_outputs(
    project, capsys
):
    path = write(project, PRINT_PROFILE)
    before = path.read_bytes()
    assert cli.main(["reproduce", "farag2025"]) == 0
    kept = nbformat.read(project / "results" / "notebooks" / "sample" / "09_try.ipynb", 4)
    outputs = kept.cells[0].outputs
    assert outputs[0]["text"] == "sample\n" and len(outputs) == 2  # no log lines
    assert "T_00000_row0_col0" in str(outputs[1])  # the same after each run
    assert "sample" in (project / "report" / "09_try.html").read_text()
    assert 'href="09_try.html"' in (project / "report" / "index.html").read_text()
    assert path.read_bytes() == before
    printed = capsys.readouterr().out
    assert "farag2025: nothing was run yet" in printed
    assert "report/index.html" in printed and "not for clinical use" in printed
    assert cli.main(["reproduce", "farag2025", "--in-place"]) == 0
    assert nbformat.read(path, 4).cells[0].outputs == outputs


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no process is kept to cores")
def test_notebooks_side_by_side_have_cores_of_their_own_and_one_alone_has_all(project):
    def cores_of(*names):
        for name in names:
            write(project, "import os\nprint(*os.sched_getaffinity(0))", name)
        assert cli.main(["reproduce", "farag2025"]) == 0
        kept = [project / "results" / "notebooks" / "sample" / name for name in names]
        texts = [nbformat.read(path, 4).cells[0].outputs[0]["text"] for path in kept]
        return [{*map(int, text.split())} for text in texts]

    here = os.sched_getaffinity(0)
    assert cores_of("08_one.ipynb") == [here]
    one, other = cores_of("08_one.ipynb", "09_other.ipynb")
    assert one | other == here and one.isdisjoint(other) == (len(here) > 1)


@pytest.mark.parametrize("paper", ["farag2025", "all"])
def test_reproduce_fetches_all_weights_before_the_first_notebook(
    project, capsys, monkeypatch, paper
):
    def fail(planned):
        names = {run.paper for run in planned}
        assert names == ({"farag2025"} if paper != "all" else {"farag2025", "honest", "gap"})
        raise models.WeightsError("no network")

    write(project, PRINT_PROFILE)
    monkeypatch.setattr(runs, "load_cells", lambda data, links: None)  # they are there
    monkeypatch.setattr(runs, "fetch_weights", fail)
    monkeypatch.setattr(notebooks, "execute", lambda *_: pytest.fail("a notebook has begun"))
    assert cli.main(["reproduce", paper, "--profile", "paper"]) == 1
    assert "leukkit: no network" in capsys.readouterr().err


def test_an_installed_package_brings_its_notebooks_and_leaves_them_alone(project, capsys):
    source = "import os, pathlib; print(pathlib.Path.cwd(), os.environ['LEUKKIT_RESULTS_DIR'])"
    write(project, source)
    shutil.move(project / "notebooks", project / "leukkit" / "notebooks")
    assert cli.main(["reproduce", "farag2025", "--results-dir", "here"]) == 0
    kept = nbformat.read(project / "here" / "notebooks" / "sample" / "09_try.ipynb", 4)
    assert kept.cells[0].outputs[0]["text"] == f"{project} {project / 'here'}\n"
    assert cli.main(["reproduce", "farag2025", "--in-place"]) == 1
    assert "leukkit notebooks DIR" in capsys.readouterr().err


def test_the_environment_says_what_no_option_says_and_means_the_folder_of_the_command(
    project, capsys, monkeypatch
):
    names = [f"LEUKKIT_{name}" for name in ("CACHE_DIR", "PROFILE", "RESULTS_DIR")]
    write(project, f"import os; print([os.environ[name] for name in {names}])")
    (project / "mine.toml").write_text('extends = "sample"')
    monkeypatch.setenv("HOME", str(project))
    for name, value in zip(names, ("~/cache", "mine.toml", "here"), strict=True):
        monkeypatch.setenv(name, value)
    assert cli.main(["reproduce", "farag2025", "--report-dir=~/told"]) == 0
    kept = nbformat.read(project / "here" / "notebooks" / "mine" / "09_try.ipynb", 4)
    expected = [str(project / name) for name in ("cache", "mine.toml", "here")]
    assert kept.cells[0].outputs[0]["text"] == f"{expected}\n"
    assert (project / "told" / "index.html").exists()
    assert cli.main(["reproduce", "farag2025", "--profile", "none.toml"]) == 1  # the option wins
    assert "none.toml does not exist" in capsys.readouterr().err


def test_notebooks_are_copied_and_none_is_overwritten(project, capsys):
    write(project, "first")
    write(project, "second", "10_more.ipynb")
    assert cli.main(["notebooks", "mine"]) == 0
    copied = project / "mine" / "09_try.ipynb"
    assert copied.read_bytes() == (project / "notebooks" / "09_try.ipynb").read_bytes()
    copied.write_text("changed")
    (project / "mine" / "10_more.ipynb").unlink()
    assert cli.main(["notebooks", "mine"]) == 1
    assert copied.read_text() == "changed" and not (project / "mine" / "10_more.ipynb").exists()
    assert "mine/09_try.ipynb would be overwritten" in capsys.readouterr().err


def test_the_sample_s_notebooks_run_two_at_a_time(project):
    meet = """
import pathlib, time
pathlib.Path("{mine}").touch()
for _ in range(600):
    if pathlib.Path("{other}").exists():
        break
    time.sleep(0.1)
else:
    raise RuntimeError("the other one was not run meanwhile")
"""
    write(project, meet.format(mine="one", other="two"))
    write(project, meet.format(mine="two", other="one"), "10_more.ipynb")
    assert cli.main(["reproduce", "farag2025"]) == 0


def test_a_notebook_whose_process_dies_leaves_its_last_words(project, capsys):
    write(project, "import os; os.write(2, b'out of memory'); os._exit(1)")
    assert cli.main(["reproduce", "farag2025"]) == 1
    message = capsys.readouterr().err
    assert "09_try.ipynb: Kernel died" in message and "out of memory" in message


def test_a_notebook_that_fails_is_named_with_its_error(project, capsys):
    write(project, "raise RuntimeError('no cells today')")
    assert cli.main(["reproduce", "farag2025"]) == 1
    message = capsys.readouterr().err
    assert "09_try.ipynb" in message and "no cells today" in message
    assert not (project / "report").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["reproduce", "nobody2030"], ["nobody2030", "farag2025"]),
        (["reproduce", "mishra"], ["no notebook for 'mishra'"]),
        (["reproduce", "farag2025", "--profile", "none.toml"], ["none.toml does not exist"]),
        (["reproduce", "farag2025", "--profile", "paper"], ["leukkit data fetch all-idb2"]),
        (["audit", "nobody2030"], ["nobody2030", "sultana"]),
        (["data", "check", "cnmc-2019"], ["leukkit data fetch cnmc-2019", "LEUKKIT_DATA_DIR"]),
        (["data", "fetch", "all-idb2", "--data-dir", "data"], ["homes.di.unimi.it/scotti/all"]),
    ],
)
def test_what_cannot_be_done_is_said_with_the_next_step(
    project, monkeypatch, capsys, arguments, words
):
    monkeypatch.delenv("LEUKKIT_DATA_DIR", raising=False)
    write(project, "pass")
    monkeypatch.setattr(runs, "fetch_weights", None)  # comes later
    monkeypatch.setattr(notebooks, "execute", None)
    assert cli.main(arguments) == 1
    message = capsys.readouterr().err
    assert all(word in message for word in words) and "LEUKKIT_TRACEBACK" in message


def test_the_place_of_an_error_is_shown_on_request(monkeypatch):
    monkeypatch.setenv("LEUKKIT_TRACEBACK", "1")
    with pytest.raises(papers.CardError, match="nobody2030"):
        cli.main(["audit", "nobody2030"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: COMMAND"),
        (["data"], "required: ACTION"),
        (["predict", "fold-0"], "required: IMAGE"),
        (["reproduce", "--quick"], "unrecognized arguments: --quick"),
    ],
)
def test_a_wrong_call_ends_with_status_2_and_the_usage(capsys, arguments, message):
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    printed = capsys.readouterr().err
    assert ended.value.code == 2 and message in printed and "usage: leukkit" in printed


def test_check_tells_of_the_leaks_between_the_folds_of_the_sample(capsys):
    assert cli.main(["data", "check", "sample-cells"]) == 1  # the same as `leukkit check`
    text = " ".join(capsys.readouterr().out.split())
    assert "449 images of healthy, ALL, 21 subjects; fold 0 150, fold 1 129, fold 2 170" in text
    assert "P15+P20" in text


def test_data_check_goes_on_after_a_file_that_cannot_be_read_and_cuts_nothing(tmp_path, capsys):
    folder = tmp_path / ("a long name of a folder " * 8) / os.fsdecode(b"not-utf-8-\xff")
    trees.write_all_idb2(folder)
    trees.write(folder / "Im006_1.tif", 1, 193)  # another size, as copies in circulation hold
    trees.write(folder / os.fsdecode(b"\xff.tif"), 1, 20)
    told = tmp_path / "told.json"
    command = ["check", "all-idb2", "--root", str(tmp_path), "--json", str(told)]
    cli.main(command)
    wrong = "Im006_1.tif: wrong size: 193x193 pixels, 257x257 was expected"
    assert wrong in told.read_text()
    found = {one["code"]: one for one in json.loads(told.read_text())["findings"]}
    assert len(found["LK306"]["images"]) == 1 and "LK301" not in found
    assert "\N{REPLACEMENT CHARACTER}" in capsys.readouterr().out
    (folder / "Im007_1.tif").symlink_to("gone.tif")
    assert cli.main(command) == 1
    (one,) = {one["code"]: one for one in json.loads(told.read_text())["findings"]}["LK301"][
        "images"
    ]
    text = "Im007_1.tif: cannot be read: No such file or directory, a link to gone.tif"
    assert text in one["value"] and text.split(",")[0] in " ".join(capsys.readouterr().out.split())


def test_audit_prints_rows_of_one_paper_or_one_verdict_and_writes_them_as_csv(tmp_path, capsys):
    path = tmp_path / "rows.csv"
    assert cli.main(["audit", "patel2025", "--csv", str(path)]) == 0
    text = capsys.readouterr().out
    assert text.startswith("patel2025: ")
    assert "[inconsistent] Table 2: vgg19, cnmc-2019: accuracy 98.87" in text
    rows = pd.read_csv(path)
    assert list(rows.columns)[:4] == ["paper", "where", "claim", "recomputed"]
    assert f"patel2025: {len(rows)} claims" in text
    assert cli.main(["audit", "--verdict", "inconsistent"]) == 0
    text = capsys.readouterr().out
    assert "[inconsistent]" in text and "[consistent]" not in text
    assert all(f"{key}: " in text for key in papers.KEYS)


def test_audit_says_how_likely_the_leads_of_one_table_are_none(tmp_path, capsys):
    path, rows = tmp_path / "scores.csv", tmp_path / "leads.csv"
    path.write_text("method,accuracy\na,91.0\nb,90.5\n")
    command = ["audit", "--leads", "--from-csv", str(path), "--test", "1000,1000"]
    assert cli.main([*command, "--csv", str(rows)]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "[may be chance] scores scores.csv accuracy: a, scores 91.0 ahead of b, scores" in text
    assert "with probability <0.001 to 0.29 on 2000 images (--test: 1000 positive" in text
    assert pd.read_csv(rows)["conclusion"].tolist() == ["may be chance"]
    assert cli.main([*command, "--verdict", "consistent"]) == 1
    assert "--verdict picks rows of the audit" in capsys.readouterr().err


def test_nothing_is_said_to_be_written_that_is_not(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "rows.csv"
    for command in (
        ["audit", "patel2025", "--csv", str(path)],
        ["splits", "sample-idb", "--folds", "2", "-o", str(path)],
        ["data", "card", "sample-idb", "-o", str(path)],
        ["check", "sample-idb", "--json", str(path)],
    ):
        assert cli.main(command) == 1
        out, err = capsys.readouterr()
        assert "written" not in out and f"{path.parent}" in err


def test_help_is_quick_because_it_imports_little():
    code = (
        "import sys; from leukkit import cli\n"
        "try: cli.main(['--help'])\n"
        "except SystemExit: print([m for m in ('tensorflow', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("[]\n")
    assert "reproduce" in done.stdout


def test_a_missing_model_is_said_before_tensorflow_starts(tmp_path):
    image = tmp_path / "a.png"
    image.touch()
    code = (
        "import sys; from leukkit import cli\n"
        f"print(cli.main(['predict', {str(tmp_path / 'gone')!r}, {str(image)!r}]), "
        "'tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "1 False\n"
    assert "gone: no such folder or model file" in done.stderr


def test_workers_and_kernels_import_nothing_from_the_current_folder(project):
    for name in ("joblib.py", "nbformat.py", "keras.py"):
        (project / name).write_text("raise SystemExit('was here')")
    code = (
        "import sys, joblib, leukkit.cli\n"
        "leukkit.cli.main(['data', 'card', 'nothing'])\n"
        "find = joblib.delayed(eval)('__import__(\"sys\").flags.safe_path')\n"
        "print(joblib.Parallel(2)([find, find]))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert done.stdout.endswith("[True, True]\n"), done.stderr


@pytest.mark.parametrize("sign", ["\x1b[2J", "\x9b31m", "\r"])
def test_no_name_of_a_file_moves_the_cursor(project, capsys, sign):
    cells = project / "cnmc-2019" / "C-NMC_training_data" / "fold_0" / "all"
    cells.mkdir(parents=True)
    assert cli.main(["data", "check", "cnmc-2019", "--root", f"{project}/{sign}"]) == 1
    (cells / "UID_1_1_1_all.bmp").write_text("?")
    (cells / f"UID_{sign}.bmp").write_text("?")
    cli.main(["data", "check", "cnmc-2019", "--root", str(cells.parents[2])])
    printed = "".join(capsys.readouterr())
    assert "\N{REPLACEMENT CHARACTER}" in printed and sign[0] not in printed


BUSY = """
import os, pathlib, time
from joblib import Parallel, delayed
def work():
    from leukkit import environment
    environment.end_with_parent()
    pathlib.Path(f"pid-{os.getpid()}").touch()
    time.sleep(300)
pathlib.Path(f"pid-{os.getpid()}").touch()
Parallel(2)([delayed(work)() for _ in range(2)])
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_whatever_ends_a_command_ends_its_notebooks_and_their_workers(project, number):
    write(project, BUSY)
    code = (
        "import pathlib, sys\nfrom leukkit import cli\nfrom leukkit.report import notebooks\n"
        f"notebooks.PACKAGE = pathlib.Path({str(project / 'leukkit')!r})\n"
        "sys.exit(cli.main(['reproduce', 'farag2025']))"
    )
    environment = {"PYTHONPATH": os.pathsep.join(sys.path), "TQDM_DISABLE": "1"}
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stderr=subprocess.PIPE,
        env=os.environ | environment,
        # A shell's background job ignores Ctrl+C, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    notes = project / "notebooks"
    _wait(lambda: len([*notes.glob("pid-*")]) == 3 or process.poll() is not None, 120)
    process.send_signal(number)
    told = process.communicate(timeout=120)[1].decode()
    if number == signal.SIGINT:
        assert process.returncode == 130, told
        assert told == "leukkit: interrupted; what was finished is kept\n"
    pids = [int(path.name.removeprefix("pid-")) for path in notes.glob("pid-*")]
    assert len(pids) == 3
    _wait(lambda: not any(map(_is_alive, pids)), 15)
    assert not (project / "results" / "notebooks").exists()


def _wait(for_what, seconds):
    until = time.monotonic() + seconds
    while not for_what():
        assert time.monotonic() < until
        time.sleep(0.05)


def _is_alive(pid):
    """Tell whether a process is there and no zombie that waits for a parent to take note."""
    told = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
    return told.stdout.strip()[:1] not in ("", "Z")


@pytest.mark.parametrize(
    ("command", "status"), [("audit mishra | head -1", 0), ("audit mishra >&-", 0)]
)
def test_a_reader_who_has_seen_enough_hears_no_complaint(command, status):
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m leukkit {command}"], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (status, "")


@pytest.mark.parametrize("command", ["audit mishra", "-h"])
def test_a_terminal_that_knows_no_dash_gets_another_sign(command):
    done = subprocess.run(
        [sys.executable, "-m", "leukkit", *command.split()],
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
    )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.isascii() and done.stdout
