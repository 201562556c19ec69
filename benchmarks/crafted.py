"""Files from strangers: ``python -m benchmarks.crafted`` changes saved models and has them read.

Each file is read in a child process. It may be refused, with an error that names what is wrong, or
answered; a signal, a wait without end or any other error is counted in capital letters. Some
minutes, on Linux or macOS.
"""

import copy
import io
import json
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

LONGEST = 90  # seconds for one file
NUMBERS = (-1, 0, 1, 2, 7, 10**6, 2**31 - 1, -(2**31), 2**63 - 1, 1e308, float("nan"), 0.5)
VALUES = (*NUMBERS, None, "", "x" * 10_000, [], {}, True, [[1]], {"a": 1}, "../../etc/passwd")


def main() -> int:
    """Try all, print a row for each kind, and return 1 if anything is in capital letters."""
    failed = 0
    for kind in (classifiers, networks, records, packed, weights, tables):
        started, row = time.monotonic(), kind()
        bad = sum(number for name, number in row.items() if name.isupper())
        cells = ", ".join(f"{name.lower()}: {number}" for name, number in row.items())
        verdict = "FAILED" if bad else "held"
        print(f"{verdict}: {kind.__name__}: {cells} ({time.monotonic() - started:.0f} s)")
        failed += bad
    return int(failed > 0)


def classifiers(wanted: int = 400) -> dict[str, int]:
    """Change the arrays of saved classifiers of each kind, and ask what loads for an answer."""
    with tempfile.TemporaryDirectory() as folder:
        return _try("classifier", _crafted_classifiers(wanted, pathlib.Path(folder)), folder)


def networks(wanted: int = 120) -> dict[str, int]:
    """Change the configuration and the weights in ``model.keras``."""
    with tempfile.TemporaryDirectory() as folder:
        return _try("fold", _crafted_networks(wanted, pathlib.Path(folder)), folder)


def records(wanted: int = 120) -> dict[str, int]:
    """Change ``predictor.json``, ``predictor.npz`` and ``fold.json``."""
    with tempfile.TemporaryDirectory() as folder:
        return _try("fold", _crafted_records(wanted, pathlib.Path(folder)), folder)


def packed(wanted: int = 60) -> dict[str, int]:
    """Change ``model.leukkit``: bytes anywhere, members and what its directory says of them."""
    with tempfile.TemporaryDirectory() as folder:
        return _try("fold", _crafted_packed(wanted, pathlib.Path(folder)), folder)


def weights(wanted: int = 60) -> dict[str, int]:
    """Change the file of weights that a backbone begins with."""
    with tempfile.TemporaryDirectory() as folder:
        return _try("weights", _crafted_weights(wanted, pathlib.Path(folder)), folder)


def tables(wanted: int = 100) -> dict[str, int]:
    """Change ``predictions.csv``."""
    with tempfile.TemporaryDirectory() as folder:
        return _try("table", _crafted_tables(wanted, pathlib.Path(folder)), folder)


def _try(kind: str, files: Iterator[pathlib.Path], folder: str) -> dict[str, int]:
    """Have children read the files one after another; a new one goes on where one has died."""
    waiting = list(files)
    row = {"tried": len(waiting), "refused": 0, "answered": 0}
    row |= {"CRASHED": 0, "HUNG": 0, "OTHER ERRORS": 0}
    while waiting:
        command = [sys.executable, "-m", "benchmarks.crafted", kind, *map(str, waiting)]
        log = (pathlib.Path(folder) / "log").open("w+")
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        done = _follow(child, log)
        for path, said in zip(waiting, done, strict=False):
            row[said.split(" ")[0].replace("OTHER", "OTHER ERRORS")] += 1
            if said.isupper() or said.startswith("OTHER"):
                print(f"  {path.name}: {said}", flush=True)
        waiting = waiting[len(done) :]
    return row


def _follow(child: subprocess.Popen, log: Any) -> list[str]:
    """Return what a child says of each file, the last word being ours if it died or hung."""
    import selectors

    said: list[str] = []
    selector = selectors.DefaultSelector()
    selector.register(child.stdout, selectors.EVENT_READ)
    while True:
        if not selector.select(LONGEST):
            child.kill()
            child.wait()
            return [*said, "HUNG"]
        line = child.stdout.readline()
        if not line:
            status = child.wait()
            if status > 0:  # not by a file
                log.seek(0)
                raise RuntimeError(log.read()[-3000:])
            return [*said, "CRASHED"] if status else said
        said.append(line.strip())


def _read(kind: str, paths: list[str]) -> None:
    """In the child: say of each file what became of it."""
    import warnings

    from leukkit import environment

    warnings.simplefilter("ignore")
    environment.start_tensorflow()
    said, sys.stdout = sys.stdout, sys.stderr
    from leukkit import models, results
    from leukkit.saved import ModelFileError

    refusals = (ModelFileError, results.ResultsError, models.WeightsError, FileNotFoundError)
    for path in paths:
        try:
            READERS[kind](pathlib.Path(path))
            answer = "answered"
        except refusals:
            answer = "refused"
        except Exception as error:
            answer = f"OTHER {type(error).__name__}: {str(error)[:150]!r}"
        print(answer, file=said, flush=True)


def _ask_classifier(path: pathlib.Path) -> None:
    from leukkit.saved import classifier_files

    rows = np.random.default_rng(1).standard_normal((8, 5)).astype(np.float32)
    answers = classifier_files.load(path).predict_proba(rows)
    assert answers.shape[0] == 8


def _ask_fold(path: pathlib.Path) -> None:
    from leukkit import datasets, predict

    predict.predict(predict.load(path), datasets.load("sample-cells")["path"].head(2).tolist())


def _ask_weights(path: pathlib.Path) -> None:
    from leukkit import models

    name = "resnet18" if path.suffix == ".safetensors" else "mobilenet-0.25"
    models.build_backbone(name, 32, path)


def _ask_table(path: pathlib.Path) -> None:
    from leukkit import metrics, results

    try:
        metrics.scores(results.read_fold(path))
    except ValueError as error:
        raise results.ResultsError(str(error)) from error


READERS: dict[str, Callable] = {
    "classifier": _ask_classifier,
    "fold": _ask_fold,
    "weights": _ask_weights,
    "table": _ask_table,
}


def _crafted_classifiers(wanted, folder):
    from leukkit import classifiers as fitting
    from leukkit.saved import classifier_files

    generator = np.random.default_rng(0)
    features = generator.standard_normal((60, 5)).astype(np.float32)
    binary = np.where(features[:, 0] > 0, "ALL", "healthy")
    several = np.where(features[:, 1] > 0, binary, "benign")
    made = []
    for labels in (binary, several):
        for scale in (False, True):
            for kernel in ("rbf", "poly"):
                settings = (features, labels, (1,), (0.1,), (kernel,))
                made.append(fitting.grid_search_svm(*settings, scale=scale))
            made.append(fitting.fit_random_forest(features, labels, scale=scale))
            made.append(fitting.fit_xgboost(features, labels, scale=scale))
    for number in range(wanted):
        path = folder / f"{number}.npz"
        classifier_files.save(made[number % len(made)], path)
        _change_archive(path, random.Random(number))
        yield path


def _crafted_networks(wanted, folder):
    whole = _fold(folder)
    for number in range(wanted):
        dice, copied = random.Random(number), _copied(whole, folder, number)
        path = copied / "model.keras"
        members = _members(path)
        if number % 3 == 0:
            text = bytearray(members["model.weights.h5"])
            for _ in range(dice.choice((1, 10, 1000))):
                text[dice.randrange(len(text))] = dice.randrange(256)
            members["model.weights.h5"] = bytes(text)
        elif number % 10 == 1:
            deep = dice.choice(("[", '{"a":')) * dice.choice((500, 5000, 10**6))
            members["config.json"] = deep.encode()
        elif number % 10 == 2:
            whole_file = path.read_bytes()
            members = {}
            path.write_bytes(whole_file[: dice.randrange(len(whole_file))])
        elif number % 10 == 3:
            members |= {dice.choice(("../../x", "/tmp/x", "assets/../../x")): b"x"}
        else:
            config = json.loads(members["config.json"])
            _change_json(config, dice)
            members["config.json"] = json.dumps(config).encode()
        if members:
            _write_members(path, members, packed=dice.random() < 0.1)
        _sign(copied)
        yield copied


def _crafted_records(wanted, folder):
    whole = _fold(folder)
    for number in range(wanted):
        dice, copied = random.Random(number), _copied(whole, folder, number)
        name = ("predictor.json", "predictor.npz", "fold.json")[number % 3]
        if name == "predictor.npz":
            _change_archive(copied / name, dice)
            _sign(copied)
        else:
            record = json.loads((copied / name).read_text())
            _change_json(record, dice)
            (copied / name).write_text(json.dumps(record))
        yield copied


def _crafted_packed(wanted, folder):
    from leukkit.saved import packed

    packed.pack(_fold(folder), folder / "whole.leukkit", "a card")
    whole = (folder / "whole.leukkit").read_bytes()
    for number in range(wanted):
        dice, path = random.Random(number), folder / f"{number}.leukkit"
        path.write_bytes(whole)
        if number % 3 == 0:
            members = _members(path)
            name, other = dice.choice(sorted(members)), dice.choice(("../x", "/tmp/x", "x", "a/"))
            members |= {dice.choice((name, other)): dice.randbytes(dice.choice((0, 9, 10**5)))}
            _write_members(path, members, packed=dice.random() < 0.2)
            continue
        text = bytearray(whole)
        start = text.index(b"PK\x01\x02") if number % 3 == 1 else 0  # the directory, or anywhere
        for _ in range(dice.choice((1, 10, 1000))):
            text[dice.randrange(start, len(text))] = dice.randrange(256)
        path.write_bytes(bytes(text[: dice.randrange(len(text))] if number % 7 == 0 else text))
    yield from (folder / f"{number}.leukkit" for number in range(wanted))


def _crafted_weights(wanted, folder):
    from safetensors.numpy import save_file

    from leukkit import models

    models.build_backbone("mobilenet-0.25", 32, None).save_weights(folder / "whole.weights.h5")
    whole = (folder / "whole.weights.h5").read_bytes()
    for number in range(wanted):
        dice = random.Random(number)
        if number % 4 == 0:
            path = folder / f"{number}.safetensors"
            shape = dice.choice(((64, 3, 7, 7), (1,), (0,)))
            values = np.full(shape, dice.choice((0, np.nan, np.inf)), np.float32)
            save_file({dice.choice(("conv1.weight", "x")): values}, path)
            text = bytearray(path.read_bytes())
            for _ in range(dice.choice((0, 1, 20))):
                text[dice.randrange(len(text))] = dice.randrange(256)
        else:
            path, text = folder / f"{number}.weights.h5", bytearray(whole)
            for _ in range(dice.choice((1, 10, 1000))):
                text[dice.randrange(len(text))] = dice.randrange(256)
        cut = dice.randrange(len(text)) if number % 7 == 0 else len(text)
        path.write_bytes(bytes(text[:cut]))
        yield path


def _crafted_tables(wanted, folder):
    whole = _fold(folder)
    for number in range(wanted):
        dice, copied = random.Random(number), _copied(whole, folder, number)
        path = copied / "predictions.csv"
        text = bytearray(path.read_bytes())
        for _ in range(dice.choice((1, 5, 50))):
            junk = dice.choice((b",", b"\n", b'"', b"nan", b"inf", b"\xff", b"\0", b"1e999", b"-"))
            at = dice.randrange(len(text))
            text[at : at + 1] = junk
        path.write_bytes(bytes(text))
        yield copied


def _fold(folder):
    """Return the folder of a finished fold with a small network, a temperature and a threshold."""
    from tests.training import tiny

    enough = [{"epochs": 20, "learning_rate": 0.01}]
    return tiny.cross_validate(folder / "whole", folds=2, per_class=40, phases=enough) / "fold-0"


def _copied(whole, folder, number):
    return pathlib.Path(shutil.copytree(whole, folder / str(number) / "fold-0"))


def _sign(folder):
    """Enter the files' own hashes, as whoever exchanges a model would."""
    from leukkit.models.weights import sha256

    record = json.loads((folder / "predictor.json").read_text())
    record["sha256"] = {name: sha256(folder / name) for name in record["sha256"]}
    (folder / "predictor.json").write_text(json.dumps(record))


def _members(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _write_members(path, members, packed=False):
    kind = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def _change_archive(path, dice):
    """Change one array of a .npz file, or the file."""
    members = _members(path)
    name = dice.choice(sorted(members))
    how = dice.randrange(6)
    if how == 0:
        header = "{{'descr': '{}', 'fortran_order': False, 'shape': {}, }}".format(
            dice.choice(("<f8", "|O", "<i8", "<U9", "|V8", "<f2", "<M8[s]")),
            dice.choice(("(9999999999,)", "(3, 10**9)", "(-1,)", "()", "(1,)*40", "(2**62, 8)")),
        )
        text = (header.ljust(117) + "\n").encode()
        members[name] = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(64)
    elif how == 1:
        content = bytearray(members[name])
        for _ in range(dice.choice((1, 20))):
            content[dice.randrange(len(content))] = dice.randrange(256)
        members[name] = bytes(content)
    elif how == 2:
        members = {other: members[other] for other in members if other != name}
    else:
        array = copy.deepcopy(np.load(io.BytesIO(members[name])))
        array = _change_array(array, dice)
        changed = io.BytesIO()
        np.save(changed, array)
        members[name] = changed.getvalue()
    _write_members(path, members, packed=dice.random() < 0.05)


def _change_array(array, dice):
    how = dice.randrange(5)
    if how == 0 and array.size and array.dtype.kind in "if":
        flat = array.reshape(-1)
        value = dice.choice(NUMBERS)
        with np.errstate(all="ignore"):
            flat[dice.randrange(flat.size)] = np.array(value).astype(array.dtype)
        return array
    if how == 1 and array.ndim:
        return array[: dice.randrange(len(array) + 1)]
    if how == 2:
        kinds = ("U1", "S9") if array.dtype.kind == "U" else ("f2", "i1", "f8", "u8", "U5", "c16")
        return array.astype(dice.choice(kinds))
    if how == 3 and array.ndim:
        order = list(range(len(array)))
        dice.shuffle(order)
        return array[order]
    return np.zeros(dice.choice(((), (0,), (3,), (2, 2), (1, 1, 1))), array.dtype)


def _change_json(content, dice):
    """Put something else in the place of one value anywhere in a JSON object."""
    places = []

    def walk(part):
        for key in part if isinstance(part, dict) else range(len(part)):
            places.append((part, key))
            if isinstance(part[key], (dict, list)) and part[key]:
                walk(part[key])

    walk(content)
    part, key = dice.choice(places)
    part[key] = dice.choice(VALUES)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        _read(sys.argv[1], sys.argv[2:])
    else:
        sys.exit(main())
