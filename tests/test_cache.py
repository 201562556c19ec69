"""Rows on disk: what the cache may and may not give back."""

import errno
import hashlib
import pathlib
import pickle
import shutil
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest

from leukkit import cache

TRUTH = np.random.default_rng(0).integers(0, 256, (10, 4, 3), dtype=np.uint8)
KEYS = [hashlib.sha256(bytes([number])).digest() for number in range(10)]


class Computing:
    """Gives rows of the truth, in pieces of three, and notes which were asked for."""

    def __init__(self, chosen=range(10), dies_after=None):
        self.chosen, self.dies_after, self.computed = list(chosen), dies_after, []

    def __call__(self, positions):
        for start in range(0, len(positions), 3):
            rows = [self.chosen[position] for position in positions[start : start + 3]]
            if self.dies_after is not None and len(self.computed) >= self.dies_after:
                raise KeyboardInterrupt
            self.computed += rows
            yield TRUTH[rows]


def rows(folder, chosen=range(10), **settings):
    """Return rows of the cache, and which of them were computed."""
    make = Computing(chosen, **settings)
    found = cache.rows(folder, [KEYS[row] for row in chosen], make, (4, 3), np.uint8)
    return found, make.computed


def shards(folder):
    return sorted(folder.glob(cache.SHARDS))


def test_rows_behave_like_an_array(tmp_path):
    found, _ = rows(tmp_path)
    assert (len(found), found.shape, found.dtype) == (10, (10, 4, 3), np.uint8)
    mask = np.arange(10) % 3 == 0
    for index in (3, -1, slice(2, 7), slice(None, None, -2), [4, 0, 4], np.array([[1], [2]]), mask):
        taken = found[index]
        np.testing.assert_array_equal(taken, TRUTH[index])
        taken[:] = 0  # an array of its own: the cache does not change
    np.testing.assert_array_equal(np.asarray(found), TRUTH)
    assert np.asarray(found, np.float32).dtype == np.float32
    with pytest.raises(ValueError, match="cannot become an array uncopied"):
        np.asarray(found, copy=False)


def test_each_key_is_computed_once_in_the_order_of_the_keys(tmp_path):
    first, computed = rows(tmp_path, [7, 2, 7, 5])
    assert computed == [7, 2, 5]
    np.testing.assert_array_equal(np.asarray(first), TRUTH[[7, 2, 7, 5]])
    found, computed = rows(tmp_path, [9, 5, 2, 1])
    assert computed == [9, 1]
    np.testing.assert_array_equal(np.asarray(found), TRUTH[[9, 5, 2, 1]])
    assert rows(tmp_path, [7, 5])[1] == []


def test_keys_may_hold_any_byte(tmp_path):
    """NumPy's text types drop zero bytes at the end of a key."""
    keys = [bytes(32), b"a" + bytes(31), bytes(31) + b"a", b"\xff" * 32]
    cache.rows(tmp_path, keys, lambda positions: [TRUTH[positions]], (4, 3), np.uint8)
    found = cache.rows(tmp_path, keys[::-1], None, (4, 3), np.uint8)
    np.testing.assert_array_equal(np.asarray(found), TRUTH[3::-1])


def test_pickled_by_path_not_by_content(tmp_path):
    found, _ = rows(tmp_path)
    text = pickle.dumps(found)
    assert len(text) < 1000
    np.testing.assert_array_equal(np.asarray(pickle.loads(text)), TRUTH)
    shards(tmp_path)[0].write_bytes(b"")
    with pytest.raises(ValueError, match=r"\.npy are damaged; load them again"):
        pickle.loads(text)


def test_a_run_that_dies_keeps_its_finished_shards(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "SHARD_ROWS", 3)
    with pytest.raises(KeyboardInterrupt):
        rows(tmp_path, dies_after=6)
    assert len(shards(tmp_path)) == 2
    found, computed = rows(tmp_path)
    assert computed == [6, 7, 8, 9]
    np.testing.assert_array_equal(np.asarray(found), TRUTH)


def test_large_rows_lie_in_smaller_shards(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "SHARD_BYTES", 25)  # two rows of twelve bytes
    rows(tmp_path)
    assert [np.load(path)["rows"].shape for path in shards(tmp_path)] == [(1, 2, 4, 3)] * 5


@pytest.mark.parametrize("damage", ["changed", "cut", "empty", "header", "another array"])
def test_a_damaged_shard_is_reported_and_computed_again(tmp_path, damage):
    rows(tmp_path)
    (shard,) = shards(tmp_path)
    content = bytearray(shard.read_bytes())
    if damage == "changed":
        content[-5] ^= 1
    elif damage == "header":
        content[20] ^= 1
    elif damage == "another array":
        np.save(shard, np.zeros(3))
        content = shard.read_bytes()
    shard.write_bytes({"cut": content[:-9], "empty": b""}.get(damage, content))
    with pytest.warns(UserWarning, match=f"{shard.name} are damaged; deleted, computed again"):
        found, computed = rows(tmp_path)
    assert computed == list(range(10))
    np.testing.assert_array_equal(np.asarray(found), TRUTH)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert rows(tmp_path)[1] == []


@pytest.mark.parametrize("odd", ["not finite", "another width", "another type", "other keys"])
def test_a_whole_shard_that_the_kit_would_not_write_is_not_believed(tmp_path, odd):
    """As a stranger or another version writes it: under the hash of its own bytes."""
    width = 4 if odd == "another width" else 3
    key = "V16" if odd == "other keys" else "V32"
    dtype = np.float64 if odd == "another type" else np.float32
    shard = np.zeros(1, [("keys", key, (10,)), ("rows", (dtype, (width,)), (10,))])
    shard["keys"] = np.frombuffer(b"".join(KEYS), "V32").astype(key)
    if odd == "not finite":
        shard["rows"][0, 4, 1] = np.nan
    np.save(tmp_path / "0.npy", shard)
    name = hashlib.sha256((tmp_path / "0.npy").read_bytes()).hexdigest()
    (tmp_path / "0.npy").rename(tmp_path / f"{name}.npy")
    truth = TRUTH[:, 0].astype(np.float32)
    with pytest.warns(UserWarning, match=f"{name}.npy are damaged; deleted, computed again"):
        found = cache.rows(tmp_path, KEYS, lambda chosen: [truth[chosen]], (3,), np.float32)
    np.testing.assert_array_equal(np.asarray(found), truth)


def test_only_shards_that_are_needed_are_read_through_and_each_once(tmp_path, monkeypatch):
    rows(tmp_path, [1, 2])
    rows(tmp_path, [3, 4])
    cache._verified.clear()
    hashed = []
    digest = hashlib.file_digest
    monkeypatch.setattr(
        hashlib, "file_digest", lambda file, name: hashed.append(file.name) or digest(file, name)
    )
    for _ in range(2):
        rows(tmp_path, [4])
    assert len(hashed) == 1


def test_a_write_that_dies_leaves_nothing_to_be_read(tmp_path, monkeypatch):
    def dying(path, content):
        with path.open("wb") as file:
            file.write(content[:100])
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(pathlib.Path, "write_bytes", dying)
        with pytest.raises(KeyboardInterrupt):
            rows(tmp_path)
    assert rows(tmp_path)[1] == list(range(10))


def test_the_unfinished_file_of_another_run_is_left_alone(tmp_path):
    unfinished = tmp_path / ".0f.npy.abc.npy"
    unfinished.write_bytes(b"half")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rows(tmp_path)
    assert unfinished.exists()


def test_runs_that_share_a_cache_at_the_same_time(tmp_path):
    """Eight writers and readers of overlapping keys: every row found is the right one."""
    problems = []

    def run(number):
        for start in range(0, 10, 2):
            chosen = [(start + number + more) % 10 for more in range(5)]
            found, _ = rows(tmp_path, chosen)
            if (np.asarray(found) != TRUTH[chosen]).any():
                problems.append((number, start))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert problems == []


def test_of_two_processes_one_waits_for_what_the_other_makes(tmp_path):
    code = """if True:
        import pathlib, sys, time
        from tests import test_cache
        class Slow(test_cache.Computing):
            def __call__(self, positions):
                time.sleep(0.5)
                return super().__call__(positions)
        test_cache.Computing = Slow
        while not pathlib.Path(sys.argv[1], "go").exists():
            print("ready", flush=True)
            time.sleep(0.01)
        found, computed = test_cache.rows(pathlib.Path(sys.argv[1], "cache"))
        print(len(computed), (found[:] == test_cache.TRUTH).all())
    """
    command = [sys.executable, "-c", code, str(tmp_path)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for process in both:
        assert process.stdout.readline() == "ready\n"
    (tmp_path / "go").touch()
    said = [process.communicate(timeout=60)[0].splitlines()[-1] for process in both]
    assert sorted(said) == ["0 True", "10 True"]


def test_too_little_space_is_said_before_anything_is_computed(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(9, 9, 0))
    expected = r"not enough space .*0 MB are free, 0 MB needed.*LEUKKIT_CACHE_DIR"
    with pytest.raises(OSError, match=expected) as raised:
        rows(tmp_path / "new", dies_after=0)
    assert raised.value.errno == errno.ENOSPC


def test_a_disk_that_fills_up_keeps_what_was_finished(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "SHARD_ROWS", 6)
    write = pathlib.Path.write_bytes

    def fills_up(path, content):
        if shards(tmp_path):
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, content)

    with monkeypatch.context() as patched:
        patched.setattr(pathlib.Path, "write_bytes", fills_up)
        with pytest.raises(OSError, match=r"not enough space .*: No space left .* is kept"):
            rows(tmp_path)
    assert [path.suffix for path in tmp_path.iterdir()].count(".npy") == 1
    assert rows(tmp_path)[1] == [6, 7, 8, 9]


def test_a_disk_that_fails_is_not_called_full(tmp_path, monkeypatch):
    def fails(path, content):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(pathlib.Path, "write_bytes", fails)
    with pytest.raises(OSError, match="Input/output error") as raised:
        rows(tmp_path)
    assert raised.value.errno == errno.EIO and "space" not in str(raised.value)
    assert shards(tmp_path) == []


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="LEUKKIT_CACHE_DIR"):
        rows(tmp_path / "file" / "cache")
