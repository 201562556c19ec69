"""Hand-made results, written as schemas: folds whose scores are counted by hand."""

import hashlib
import json

import numpy as np
import pandas as pd

from leukkit import papers, results
from leukkit.records import PARTS, Configuration, FoldRecord
from leukkit.schemas import SplitTable, check

TWO = ("healthy", "ALL")
FOUR = ("benign", "early", "pre", "pro")
LEAKS = {"patient": 0.0, "subject": 0.0, "source_image": 0.0, "bytes": 0.0, "original": None}
VERSIONS = {"python": "3.12.1", "tensorflow": "2.21.0"}
MACHINE = "Abacus, 2 cores, 24 GiB"
EVIL_IMAGE = "<img src=x onerror=\"document.title='hacked'\">.png"
EVIL_RUN = "<script>document.title='hacked'<"
SVM = "cnmc-2019_densenet201_svm_augmented"
IDB = "all-idb2_densenet201_svm_segmented_augmented"


def predictions(outcomes, classes=TWO, first=0, sure=0.9):
    """Return one image per (label, predicted class); two neighbors are of one subject."""
    rows = []
    for number, (label, predicted) in enumerate(outcomes, start=first):
        row = {"image_id": f"image-{number}", "subject": f"subject-{number // 2}", "label": label}
        rest = (1 - sure) / (len(classes) - 1)
        rows.append(row | {f"prob_{name}": sure if name == predicted else rest for name in classes})
    return pd.DataFrame(rows)


# True and false, positive and negative: 2 1 0 1 in the first fold, 1 0 1 4 in the second.
FIRST = predictions([("ALL", "ALL")] * 2 + [("ALL", "healthy"), ("healthy", "healthy")])
SECOND = predictions([("ALL", "ALL"), ("healthy", "ALL")] + [("healthy", "healthy")] * 4, first=4)

ONE_OF_FOUR = predictions([("benign", "benign")] * 4, FOUR)


def history(accuracies, validation):
    """Return the history of as many epochs."""
    columns = {"epoch": range(1, len(accuracies) + 1), "loss": 0.5, "accuracy": accuracies}
    return pd.DataFrame(columns | {"validation_loss": 0.7, "validation_accuracy": validation})


def planned(paper, split, run, profile="sample", **changes):
    """Return a run as a profile plans it, or as ``paper`` does under another profile's name."""
    card = papers.load(paper)
    known = profile if profile in card.profiles else "paper"
    (found,) = [one for one in card.plan(known, split) if one.name == run]
    return found.model_copy(update={"profile": profile, **changes})


def write(base, run, tested, fold=0, folds=1, leaks=LEAKS, tables=None, changes=None, **facts):
    """Write one finished fold of a `Run` and return its folder.

    ``tables`` are further ones by name, ``changes`` fields of the `Configuration`, ``facts`` of the
    `FoldRecord`.
    """
    recipe, table = run.recipe and run.recipe.record(), check(SplitTable, run.table, "").record()
    configuration = Configuration(
        **{
            **{name: getattr(run, name) for name in ("paper", "profile", "split", "keys", "seed")},
            "run": run.name,
            "table": table,
            "draw": 0,
            "recipe": recipe,
            "members": [],
            "dataset": run.data,
            "classes": [name.removeprefix("prob_") for name in tested if "prob_" in name],
            "images": {"train": f"a{fold}", "validation": "b", "test": f"c{fold}"},
            "weights": "",
            **(changes or {}),
        }
    )
    record = {
        "configuration_hash": configuration.hash,
        "configuration": configuration,
        "folds": folds,
        "seconds": 30.0,
        "finished": "2026-11-21T12:00:00+00:00",
        "commit": "abc",
        "hardware": MACHINE,
        "versions": VERSIONS,
        "leakage": leaks,
        "images": {"train": 40, "validation": 5, "test": len(tested)},
        "weights_used": "ImageNet",
    }
    folder = results.run_folder(base, run.paper, run.profile, run.split, run.name) / f"fold-{fold}"
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in {"predictions": tested, **(tables or {})}.items():
        table.to_csv(folder / f"{name}.csv", index=False)
        if name in PARTS:
            record["images"][PARTS[name]] = len(table)
    text = FoldRecord(**{**record, "tables": hashes(folder), **facts}).model_dump_json()
    (folder / "fold.json").write_text(text)
    return folder


def hashes(folder):
    """Return the hash of each table in the folder of a fold."""
    return {it.name: hashlib.sha256(it.read_bytes()).hexdigest() for it in folder.glob("*.csv")}


def seal(folder):
    """Have a fold's record name its tables as they are now, and as many images as they have rows:
    they are then what was written."""
    record = json.loads((folder / "fold.json").read_text())
    record["tables"] = hashes(folder)
    for name, part in PARTS.items():
        if (path := folder / f"{name}.csv").exists():
            record["images"][part] = len(pd.read_csv(path))
    (folder / "fold.json").write_text(json.dumps(record))


def many(seed):
    """Return 60 predictions of 12 subjects, right four times of five."""
    random = np.random.RandomState(seed)
    labels = np.take(TWO, np.arange(60) % 2)
    right = random.uniform(size=60) < 0.8
    others = np.where(labels == "ALL", "healthy", "ALL")
    outcomes = zip(labels, np.where(right, labels, others), strict=True)
    frame = predictions(outcomes)
    return frame.assign(subject=[f"P{number % 12}" for number in range(60)])


def make(base):
    """Write what a page shows: patel2025 under ``sample``, farag2025 under ``cnmc-subset``, a run
    of one's own, and one whose names are HTML and whose probabilities are none.
    """
    for number, split in enumerate(("published", "leak-free")):
        leaks = {**LEAKS, **dict.fromkeys(("patient", "subject", "source_image"), 1.0 - number)}
        vgg = planned("patel2025", split, "vgg19")
        svm = planned("farag2025", split, SVM, "cnmc-subset")
        for fold in range(2):
            tables = {"training_predictions": many(fold), "history": history([0.6, 0.8], 0.7)}
            write(base, vgg, many(fold), fold, 2, leaks, tables)
            write(base, svm, many(fold), fold, 2, leaks, tables)
    recipe = vgg.recipe.replace(image_size=96)
    own = vgg.model_copy(update={"name": "vgg19~0123abcd", "keys": {}, "recipe": recipe})
    write(base, own, many(0))
    spoilt = many(0).astype({"image_id": object})
    spoilt.loc[0, ["image_id", "prob_healthy"]] = [EVIL_IMAGE, 7.5]
    evil = planned("patel2025", "published", "vgg19")
    write(base, evil.model_copy(update={"name": EVIL_RUN}), spoilt)
    return base
