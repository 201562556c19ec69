import importlib.metadata
import os
import subprocess
import sys

import pytest

from leukkit import environment

compute = environment.fingerprint.__wrapped__  # in a fresh process, whatever was computed before


class Painter:
    def paint(self, color):
        """Say a color."""
        return f"painted {color}"


def test_check_prints_versions_and_devices(capsys):
    environment.check()
    first, devices, warning = capsys.readouterr().out.splitlines()
    assert first.startswith("leukkit ") and "tensorflow 2." in first
    assert devices.startswith("GPUs: ") and "not for clinical use" in warning


def test_older_packages_are_refused_down_to_the_third_part(monkeypatch):
    major, minor, patch = map(int, importlib.metadata.version("keras").split(".")[:3])
    monkeypatch.setitem(environment.FLOORS, "keras", (major, minor, patch + 1))
    floor = rf"{major}\.{minor}\.{patch + 1}"
    with pytest.raises(RuntimeError, match=rf"keras\. Run: pip install -U 'keras>={floor}'"):
        environment.check()


def test_nothing_is_imported_from_the_current_folder(tmp_path, monkeypatch):
    for name in ("keras.py", "numpy.py", "leukkit.py"):
        (tmp_path / name).write_text("import pathlib; pathlib.Path('was here').touch()")
    monkeypatch.chdir(tmp_path)
    assert compute() == environment.fingerprint()
    assert not (tmp_path / "was here").exists()


def test_tensorflow_starts_in_silence():
    command = [sys.executable, "-c", "from leukkit import environment; environment.check()"]
    quiet = {name: text for name, text in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    done = subprocess.run(command, capture_output=True, text=True, env=quiet, check=True)
    assert done.stderr == "" and done.stdout.startswith("leukkit ")


def test_a_keras_json_that_takes_rows_for_channels_is_refused_by_the_first_cell(tmp_path):
    (tmp_path / "keras.json").write_text('{"image_data_format": "channels_first"}')
    command = [sys.executable, "-c", "from leukkit import environment; environment.check()"]
    here = {**os.environ, "KERAS_HOME": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, env=here)
    assert done.returncode == 1 and "image_data_format = 'channels_first', expected" in done.stderr


def test_what_is_no_chatter_is_passed_on_even_where_the_start_fails(capfd):
    said = (
        b"I0 port.cc:153] oneDNN custom operations are on.\nW0 Cannot dlopen some GPU libraries\n"
    )
    with pytest.raises(ImportError), environment._without_chatter():
        os.write(2, said)
        raise ImportError
    assert capfd.readouterr().err == "W0 Cannot dlopen some GPU libraries\n"


def test_source_is_dedented_text_that_a_notebook_highlights():
    shown = environment.show_source(Painter.paint)
    text = 'def paint(self, color):\n    """Say a color."""\n    return f"painted {color}"'
    assert repr(shown) == text
    assert shown._repr_markdown_() == f"```python\n{text}\n```"
    assert repr(environment.show_source(Painter)).startswith("class Painter:\n    def paint(")


def test_another_version_of_a_classifier_has_another_fingerprint(monkeypatch):
    here = environment.fingerprint()
    version = importlib.metadata.version
    changed = {"xgboost": "99.1.0"}
    monkeypatch.setattr(importlib.metadata, "version", lambda it: changed.get(it) or version(it))
    assert compute() != here


@pytest.mark.skipif(sys.platform != "linux", reason="oneDNN is the default on Linux alone")
def test_another_order_of_adding_has_another_fingerprint(monkeypatch):
    here = environment.fingerprint()
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    assert compute() != here


@pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="this system keeps no process to cores"
)
def test_shares_of_the_cores_are_as_large_apart_and_all_of_them():
    code = "import os; from leukkit import environment; environment.keep_to_share({}, {}); "
    code += "print(*os.sched_getaffinity(0))"

    def share(number, of):
        command = [sys.executable, "-c", code.format(number, of)]
        return {*map(int, subprocess.check_output(command, text=True).split())}

    cores = os.sched_getaffinity(0)
    assert share(0, len(cores) + 1) == share(0, 1) == cores
    if len(cores) > 1:
        shares = [share(0, 2), share(1, 2)]
        assert shares[0] | shares[1] == cores and shares[0].isdisjoint(shares[1])
        assert 0 <= len(shares[0]) - len(shares[1]) <= 1
