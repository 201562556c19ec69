"""Run an older commit and this one side by side and compare what they predict.

    git worktree add ../old d0e9bfe
    python -m benchmarks.side_by_side ../old results-old results-new
    export LEUKKIT_DATA_DIR=… LEUKKIT_WEIGHTS_DIR=…
    python -m benchmarks.side_by_side ../old results-old results-new --real

Both make their own results, with the same threads and jobs, on the built-in sample, or with
``--real`` on the subset of C-NMC 2019 that the profiles in ``docs/profiles`` are for; finished
folds are not made again. For each run that both have, the folds, the ids and labels of the images
tested in each, and every probability are compared (classifiers on features within 1e-9, trained
networks within 1e-3), and the audit's rows and verdicts.
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys

import pandas as pd

OLD = {
    "networks": (
        "from leukkit import network_runs, papers, profiles\n"
        "card = papers.load({paper!r})\n"
        "for name in profiles.load(card, {profile!r})['protocols']:\n"
        "    network_runs.run(card, {profile!r}, name)\n"
    ),
    "features": (
        "from leukkit import papers, profiles, reproduction\n"
        "from leukkit.reproduction import Run\n"
        "card = papers.load({paper!r})\n"
        "for name in ('published', 'leak-free'):\n"
        "    reproduction.run(card, {profile!r}, name)\n"
        "plain = [Run('cnmc-2019', 'densenet201', name, False, False)\n"
        "         for name in ('svm', 'svm-scaled', 'rf', 'xgboost')]\n"
        "for name in ('image-level', 'patient', 'leak-free'):\n"
        "    reproduction.run(card, {profile!r}, name, plain)\n"
    ),
    "gap": "from leukkit import gap\ngap.run({profile!r})\n",
    "honest": (
        "from leukkit import honest\n"
        "for name in honest.PROTOCOLS:\n"
        "    if not honest.problem({profile!r}, name):\n"
        "        honest.run({profile!r}, name)\n"
    ),
    "audit": "from leukkit import audit\naudit.run().to_csv({profile!r}, index=False)\n",
}
NEW = {
    "networks": (
        "from leukkit import papers, runs\n"
        "card = papers.load({paper!r})\n"
        "runs.make(card.plan({profile!r}), jobs=card.profile({profile!r}).jobs)\n"
    ),
    "gap": "from leukkit.benchmark import gap\ngap.run({profile!r})\n",
    "honest": (
        "from leukkit.benchmark import leaderboard\n"
        "for name in leaderboard.possible({profile!r}):\n"
        "    leaderboard.run({profile!r}, name)\n"
    ),
    "audit": OLD["audit"],
}
NEW["features"] = NEW["networks"]
SAMPLE = [
    ("networks", "patel2025", "sample"),
    ("networks", "mishra", "sample"),
    ("features", "farag2025", "sample"),
    ("networks", "samhitha", "sample"),
    ("networks", "sultana", "sample"),
    ("gap", "gap", "sample"),
    ("honest", "honest", "sample"),
]
REAL = [
    ("features", "farag2025", "docs/profiles/cnmc-subset.toml"),
    ("networks", "patel2025", "docs/profiles/cnmc-subset-finetuned.toml"),
    ("gap", "gap", "docs/profiles/cnmc-subset-gap.toml"),
    ("honest", "honest", "docs/profiles/cnmc-subset-honest.toml"),
]
# How the two name the same thing.
SPLITS = {"identity": "subject"}


def main() -> int:
    """Make both results, compare them, print a row per run, and return 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old", type=pathlib.Path, help="checkout of the older commit")
    parser.add_argument("old_results", type=pathlib.Path)
    parser.add_argument("new_results", type=pathlib.Path)
    parser.add_argument("--real", action="store_true", help="the subset of C-NMC 2019")
    parser.add_argument("--only", default="", help="one paper's key, gap, honest or audit")
    options = parser.parse_args()
    here = pathlib.Path(__file__).resolve().parent.parent
    failed = False
    for kind, paper, profile in REAL if options.real else SAMPLE:
        if options.only not in ("", paper):
            continue
        _run(options.old, options.old_results, OLD[kind].format(paper=paper, profile=profile))
        _run(here, options.new_results, NEW[kind].format(paper=paper, profile=profile))
        table = compare(kind, paper, profile, options.old_results, options.new_results)
        print(table.to_string(index=False), flush=True)
        failed |= not table["same"].all()
    if options.only in ("", "audit"):
        failed |= not _same_audit(options, here)
    print("DIFFERENT" if failed else "the same")
    return int(failed)


def compare(
    kind: str, paper: str, profile: str, old: pathlib.Path, new: pathlib.Path
) -> pd.DataFrame:
    """Return a row per run of the older results: what differs, and by how much."""
    label = pathlib.Path(profile).stem
    rows = []
    for folder in sorted(path for path in (old / paper / label).glob("*/*") if path.is_dir()):
        split = SPLITS.get(folder.parent.name, folder.parent.name).replace(
            "by-identity", "by-subject"
        )
        there = _find(new / paper / label / split, folder.name)
        row = {"split": split, "run": folder.name, "images": 0, "largest": float("nan")}
        if there is None:
            rows.append({**row, "same": False, "what": "the new code did not make it"})
            continue
        folds, others = (sorted(one.glob("fold-*/predictions.csv")) for one in (folder, there))
        what = "" if len(folds) == len(others) else f"{len(folds)} and {len(others)} folds"
        largest = 0.0
        for one, two in zip(folds, others, strict=False):
            before, after = (pd.read_csv(path, dtype={"image_id": str}) for path in (one, two))
            row["images"] += len(before)
            if not before[["image_id", "label"]].equals(after[["image_id", "label"]]):
                what = what or f"other images or labels in {one.parent.name}"
                continue
            columns = [name for name in before if name.startswith("prob_")]
            largest = max(largest, (before[columns] - after[columns]).abs().to_numpy().max())
        within = 1e-9 if _is_classifier(there) else 1e-3
        same = not what and largest <= within
        rows.append({**row, "largest": largest, "same": same, "what": what or f"within {within:g}"})
    return pd.DataFrame(rows)


def _find(folder: pathlib.Path, old_name: str) -> pathlib.Path | None:
    """Return the new folder of a run: the one whose name and keys have most words in common."""
    wanted, best = set(re.split("[_-]", old_name)), (0.0, None)
    for path in sorted(one for one in folder.glob("*") if one.is_dir()):
        keys = _keys(path)
        words = set(re.split("[_-]", "_".join([path.name, *map(str, keys.values())])))
        words -= {"True", "False", "64px", ""}
        best = max(
            best, (len(words & wanted) / len(words | wanted), path), key=lambda pair: pair[0]
        )
    return best[1]


def _keys(folder: pathlib.Path) -> dict:
    records = sorted(folder.glob("fold-*/fold.json"))
    return json.loads(records[0].read_text())["configuration"]["keys"] if records else {}


def _is_classifier(folder: pathlib.Path) -> bool:
    record = json.loads(next(folder.glob("fold-*/fold.json")).read_text())
    return bool((record["configuration"]["recipe"] or {}).get("classifier"))


def _same_audit(options: argparse.Namespace, here: pathlib.Path) -> bool:
    frames = []
    for tree, folder in ((options.old, options.old_results), (here, options.new_results)):
        path = folder.resolve() / "audit.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        _run(tree, folder, OLD["audit"].format(profile=str(path)))
        frames.append(pd.read_csv(path, dtype=str))
    one, two = frames
    columns = [name for name in ("paper", "place", "where", "printed", "verdict") if name in one]
    same = one[columns].equals(two[columns])
    print(
        f"audit: {len(one)} and {len(two)} rows, {', '.join(columns)} "
        f"{'equal' if same else 'differ'}"
    )
    return same


def _run(tree: pathlib.Path, results: pathlib.Path, code: str) -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": str(tree.resolve()),
        "LEUKKIT_RESULTS_DIR": str(results.resolve()),
        "LEUKKIT_CACHE_DIR": str(results.resolve() / "cache"),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TQDM_DISABLE": "1",
    }
    subprocess.run([sys.executable, "-c", code], cwd=tree, env=environment, check=True)


if __name__ == "__main__":
    sys.exit(main())
