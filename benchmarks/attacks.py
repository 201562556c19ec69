"""``python -m benchmarks attacks``: runs are killed and raced, readers are fed with broken files.

It takes some minutes, prints a row per attack, and ends with status 1 if anything was lost or
wrong. Everything happens in a folder that is removed in the end, on Linux or macOS.
"""

import collections
import io
import multiprocessing
import os
import pathlib
import random
import sys
import tempfile
import time

import filelock
import numpy as np
import pandas as pd
import PIL.Image

KILLS = {"network": 24, "classifier": 8}  # inside folds
MUTANTS = 160  # of each format
FOLDS, SIDE = 6, 32
FORMATS = {
    "PNG": ("png", {}),
    "BMP": ("bmp", {}),
    "JPEG": ("jpg", {"quality": 90}),
    "TIFF": ("tif", {}),
    "TIFF, deflated": ("tiff", {"compression": "tiff_adobe_deflate"}),
}
PROCESSES = multiprocessing.get_context("forkserver")
PRELOADED = ["tensorflow", "keras", "sklearn.ensemble", "leukkit.training", "leukkit.classifiers"]
WITH_CHECKSUMS = ("PNG",)  # of all that is stored; elsewhere a changed pixel cannot be told


def main() -> int:
    """Attack, and print the table; return 1 if anything was lost, wrong or left out in silence."""
    with tempfile.TemporaryDirectory() as temporary:
        top = pathlib.Path(temporary)
        os.environ |= {"LEUKKIT_CACHE_DIR": str(top / "cache"), "TQDM_DISABLE": "1"}
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        PROCESSES.set_forkserver_preload(PRELOADED)
        failed = 0
        for kind, wanted in KILLS.items():
            failed += _print(f"kills, {kind}", kills(kind, wanted, top / kind))
        failed += _print("two processes, one run", race(top))
        tried = mutants(top / "mutants", next((top / "network/whole").rglob("fold-0")))
        for name, row in tried.items():
            failed += _print(f"mutated {name}", row)
    return int(failed > 0)


def _print(name: str, row: dict[str, int | str]) -> int:
    """Print a row; return how much of what must not be was seen: keys in capital letters."""
    bad = sum(int(number) for key, number in row.items() if key.isupper())
    cells = ", ".join(f"{key.lower()}: {number}" for key, number in row.items())
    print(f"{'FAILED' if bad else 'held'}: {name}: {cells}", flush=True)
    return bad


# -------------------------------------------------------------------------------------------- runs


def work(kind: str, base: pathlib.Path, cache: str) -> None:
    """Make a run; in a process of its own."""
    from leukkit import classifiers, datasets, splits, training

    os.environ["LEUKKIT_CACHE_DIR"] = cache
    cells = datasets.load("sample-cells")
    split = splits.divide(cells, {"split": "subject", "folds": FOLDS, "validation": 0.2})
    method, run = {
        "network": ({"phases": [{"epochs": 6, "learning_rate": 1e-3}]}, training.cross_validate),
        "classifier": ({"classifier": "rf"}, classifiers.cross_validate),
    }[kind]
    recipe = training.Recipe(network="vgg19", width=0.05, image_size=SIDE, **method)
    run(split, recipe, name=kind, models_kept=[*range(FOLDS)], results_dir=base)


def kills(kind: str, wanted: int, top: pathlib.Path) -> dict[str, int | str]:
    """Kill a run at random moments, and have the next process go on, until enough were in folds."""
    chance, whole = random.Random(kind), top / "whole"
    for base in (top / "first", whole):  # the first draws the cells and fills the cache
        started = time.monotonic()
        _finish(_start(kind, base))
    span = time.monotonic() - started
    found = collections.Counter({"runs": 0, "kills": 0, "inside folds": 0})
    while found["inside folds"] < wanted:
        base = top / f"run-{found['runs']}"
        found["runs"] += 1
        killed = True
        while killed:
            done = _finished(base)
            killed = _kill(_start(kind, base), chance.uniform(0, span), base, found)
            now = _finished(base)
            found["FILES OF FINISHED FOLDS LOST"] += len(done.keys() - now.keys())
            again = [path for path in done.keys() & now.keys() if done[path] != now[path]]
            found["FILES OF FINISHED FOLDS REDONE"] += len(again)
        found["TABLES THAT DIFFER"] += len(_differences(base, whole))
    return dict(found)


def race(top: pathlib.Path) -> dict[str, int | str]:
    """Let two processes make one run, with one empty cache, at the same moment."""
    cache, base = top / "cache-of-two", top / "two"
    two = [_start("network", base, str(cache)) for _ in range(2)]
    made: set[tuple] = set()
    while any(process.is_alive() for process in two):
        made |= set(_records(base).items())
        time.sleep(0.002)
    made |= set(_records(base).items())
    stored = np.concatenate([np.load(path)["keys"][0] for path in cache.rglob("*.npy")])
    return {
        "folds": FOLDS,
        "FOLDS MADE TWICE": len(made) - FOLDS,
        "PROCESSES THAT FAILED": sum(process.exitcode != 0 for process in two),
        "TABLES THAT DIFFER": len(_differences(base, top / "network" / "whole")),
        "cached rows": len(stored),
        "rows cached twice": len(stored) - len(np.unique(stored)),
    }


def _start(kind: str, base: pathlib.Path, cache: str = "") -> multiprocessing.Process:
    """Start a process that makes a run, forked from one that has only imported what it needs."""
    arguments = (kind, base, cache or os.environ["LEUKKIT_CACHE_DIR"])
    process = PROCESSES.Process(target=work, args=arguments)
    process.start()
    return process


def _finish(process: multiprocessing.Process) -> None:
    process.join()
    if process.exitcode:
        sys.exit(f"a run that nobody killed failed with status {process.exitcode}")


def _kill(process: multiprocessing.Process, after: float, base: pathlib.Path, found: dict) -> bool:
    """Kill a process after some seconds; tell whether it was still at work, and count if in a fold.

    It was in a fold if it held the fold's lock just before, and never wrote ``fold.json``.
    """
    process.join(after)
    if not process.is_alive():
        _finish(process)
        return False
    held = [path.parent for path in base.rglob(".lock") if _is_held(path)]
    process.kill()
    process.join()
    found["kills"] += 1
    found["inside folds"] += any(not (folder / "fold.json").exists() for folder in held)
    return True


def _is_held(path: pathlib.Path) -> bool:
    try:
        with filelock.FileLock(path, timeout=0):
            return False
    except filelock.Timeout:
        return True


def _records(base: pathlib.Path) -> dict[pathlib.Path, tuple]:
    """Return each ``fold.json`` and what tells it from one that was written later."""
    found = {path: path.stat() for path in base.rglob("fold.json")}
    return {path: (status.st_ino, status.st_mtime_ns) for path, status in found.items()}


def _finished(base: pathlib.Path) -> dict[pathlib.Path, tuple]:
    """Return the files of the finished folds, with what tells them from ones written later."""
    files = [path for record in _records(base) for path in record.parent.glob("[!.]*")]
    kept = {path: path.stat() for path in files if path.name != "checkpoint.npz"}
    return {path: (status.st_ino, status.st_mtime_ns) for path, status in kept.items()}


def _differences(base: pathlib.Path, whole: pathlib.Path) -> list[str]:
    """Return the tables in which two runs differ, by bytes but for the seconds of the history."""

    def tables(top: pathlib.Path) -> dict[str, bytes]:
        found = {str(path.relative_to(top)): path.read_bytes() for path in top.rglob("*.csv")}
        for name in found:
            if name.endswith("history.csv"):
                frame = pd.read_csv(io.BytesIO(found[name]), dtype=str)
                found[name] = frame.drop(columns="seconds").to_csv().encode()
        return found

    one, other = tables(base), tables(whole)
    assert other, f"no tables in {whole}"
    return [name for name in one.keys() | other.keys() if one.get(name) != other.get(name)]


# ------------------------------------------------------------------------------------------ images


def mutants(top: pathlib.Path, model: pathlib.Path) -> dict[str, dict[str, int | str]]:
    """Damage image files; compare what the check of a data set and a prediction make of each."""
    from leukkit import datasets, predict
    from leukkit.datasets import decode

    chance, original, records = random.Random("images"), {}, []
    cell = PIL.Image.open(datasets.load("sample-cells")["path"][0]).resize((48, 48))
    top.mkdir()
    for name, (suffix, options) in FORMATS.items():
        whole = top / f"whole.{suffix}"
        cell.save(whole, **options)
        pixels = decode.read(whole)
        for number in range(MUTANTS):
            path = top / f"{number}.{suffix}"
            path.write_bytes(_mutate(whole.read_bytes(), chance))
            original[str(path)] = (name, pixels)
            records.append({"image_id": path.name, "path": path, "label": "ALL"})
    cells = datasets.cells.build(records, "mutants", top, ["healthy", "ALL"], damaged="keep")
    problems = datasets.check(cells)
    ids = cells.set_index("path")["image_id"]
    damaged = set(problems["image_id"][problems["kind"] == "damaged"])
    predicted = predict.predict(predict.load(model), list(original)).set_index("image")
    found: dict[str, collections.Counter] = {}
    for path, (name, pixels) in original.items():
        row = found.setdefault(name, collections.Counter(tried=0, refused=0))
        row["tried"] += 1
        if path not in ids or path not in predicted.index:
            row["SKIPPED IN SILENCE"] += 1
            continue
        answer = predicted.loc[path]
        refused = pd.notna(answer["error"])
        row["SKIPPED IN SILENCE"] += bool(refused == pd.notna(answer["predicted"]))
        row["CHECK AND PREDICT DISAGREE"] += refused != (ids[path] in damaged)
        row["refused"] += refused
        same = not refused and np.array_equal(decode.read(path), pixels)
        wrong = "WRONG PIXELS" if name in WITH_CHECKSUMS else "changed pixels (no checksum)"
        row["equal pixels"] += same
        row[wrong] += not (refused or same)
    return {name: dict(row) for name, row in found.items()}


def _mutate(data: bytes, chance: random.Random) -> bytes:
    """Return the bytes of a file with flipped bits, another header, a cut or a hole."""
    changed, kind = bytearray(data), chance.choice(("bits", "header", "cut", "hole", "twice"))
    if kind == "bits":
        for _ in range(chance.choice((1, 1, 4, 32))):
            changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    elif kind == "header":
        changed[chance.randrange(min(64, len(changed)))] = chance.randrange(256)
    elif kind == "cut":
        del changed[chance.randrange(len(changed)) :]
    else:
        start = chance.randrange(len(changed))
        part = changed[start : start + chance.randrange(1, 64)]
        changed[start : start + len(part)] = b"" if kind == "hole" else part * 2
    return bytes(changed)
