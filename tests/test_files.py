import contextlib
import errno
import os
import shutil
import stat

import pytest

from leukkit import files

FOLDERS = {
    "LEUKKIT_CACHE_DIR": files.cache_dir,
    "LEUKKIT_DATA_DIR": files.data_dir,
    "LEUKKIT_RESULTS_DIR": files.results_dir,
}


def test_folders_follow_the_environment(tmp_path, monkeypatch):
    for name, ask in FOLDERS.items():
        monkeypatch.setenv(name, str(tmp_path / name))
        assert ask() == tmp_path / name
        monkeypatch.setenv(name, "")
    assert files.cache_dir().name == "leukkit"
    assert files.data_dir() is None
    assert files.results_dir() == files.project_dir() / "results"


def test_a_folder_is_the_same_wherever_it_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, ask in FOLDERS.items():
        monkeypatch.setenv(name, "~/own")
        assert ask() == tmp_path / "own"
        monkeypatch.setenv(name, "own")
        with pytest.raises(ValueError, match=f"{name} is 'own'.*expected .*such as /.*/own"):
            ask()


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new folder" / "scores.csv"
    with files.replace_when_done(path) as temporary:
        temporary.write_text("old")
    with pytest.raises(KeyboardInterrupt), files.replace_when_done(path) as temporary:
        temporary.write_text("ha")
        assert path.read_text() == "old"
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_what_is_written_is_on_the_disk_before_it_has_its_name_and_the_name_after(
    tmp_path, monkeypatch
):
    seen, sync = [], os.fsync

    def fsync(handle):
        seen.append((os.fstat(handle).st_ino, (tmp_path / "made").exists()))
        sync(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    for is_folder in (False, True):
        with files.replace_when_done(tmp_path / "made", is_folder) as temporary:
            inside = temporary / "inside" if is_folder else temporary
            inside.write_text("x")
            expected = {inside.stat().st_ino, temporary.stat().st_ino}
        assert {inode for inode, is_named in seen if not is_named} == expected
        assert seen[-1] == (tmp_path.stat().st_ino, True)
        seen.clear()
        shutil.rmtree(tmp_path / "made") if is_folder else (tmp_path / "made").unlink()


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EIO])
def test_a_file_system_that_syncs_no_folder_is_no_failure_and_a_broken_disk_is(
    tmp_path, monkeypatch, number
):
    def fsync(handle):
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fsync)
    broken = pytest.raises(OSError) if number == errno.EIO else contextlib.nullcontext()
    with broken, files.replace_when_done(tmp_path / "made") as temporary:
        temporary.write_text("x")
    assert (tmp_path / "made").read_text() == "x"


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "results").write_text("a file where a folder must be")
    with (
        pytest.raises(OSError, match=r"cannot write into .*results/one: .*--results-dir"),
        files.replace_when_done(tmp_path / "results" / "one" / "fold.json"),
    ):
        pass


def test_a_log_gets_plain_lines_and_every_item(capsys, monkeypatch):
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    monkeypatch.setattr(files, "SECONDS_BETWEEN_LINES", 0)
    items = list(files.progress(range(3), "hashing", unit="image"))
    assert items == [0, 1, 2]
    lines = [line.partition(",") for line in capsys.readouterr().err.splitlines()]
    assert [line[0] for line in lines] == [f"hashing: {done} of 3 images" for done in range(4)]
    assert [line[2] for line in lines] == [" ? left", *[" 00:00 left"] * 3]
    list(files.progress("a", "predicting", unit="batch"))
    assert "predicting: 1 of 1 batches" in capsys.readouterr().err


def test_in_a_log_a_bar_within_a_bar_moves_no_cursor_and_short_work_is_not_told(
    capsys, monkeypatch
):
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    for seconds in (0, 10):
        monkeypatch.setattr(files, "SECONDS_BETWEEN_LINES", seconds)
        with files.bar(2, "runs", "fold") as outer, files.bar(2, "vgg19", "batch") as inner:
            inner.update()
            inner.set_postfix_str("epoch 1 of 2")
            outer.update()
        said = capsys.readouterr().err
        for line in ("vgg19: 1 of 2 batches, 00:00 left, epoch 1 of 2", "runs: 1 of 2 folds, "):
            assert (line in said) == (seconds == 0)
        assert not set(said) & {"\r", "\x1b"} and "\n\n" not in said


def test_silence_on_request(capsys, monkeypatch):
    monkeypatch.setenv("TQDM_DISABLE", "1")
    monkeypatch.setattr(files, "SECONDS_BETWEEN_LINES", 0)
    assert list(files.progress(iter("ab"), "x")) == ["a", "b"]
    files.bar(3, "x").update(3)
    assert capsys.readouterr().err == ""


def test_no_bar_for_nothing_to_do(capsys, monkeypatch):
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    files.bar(0, "verifying").close()
    assert list(files.progress([], "verifying")) == []
    assert capsys.readouterr().err == ""
