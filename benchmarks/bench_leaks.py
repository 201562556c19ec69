"""``leukkit check`` on clean synthetic sets, and on the same with leaks of ten kinds planted.

Beside it, on the same folders, what other packages find (`benchmarks.other_checkers`), if they are
installed.
"""

import collections
import pathlib
import tempfile
import time

import cv2
import numpy as np

from benchmarks import other_checkers
from leukkit import check, datasets
from leukkit.check import shortcuts
from leukkit.datasets import decode, sample

SEEDS = range(20, 30)
OF_A_KIND = 2  # planted in each set
LEAKS = {f"LK00{number}" for number in range(1, 7)}
LINKED = ("P05", "P09", "P20")  # under whose ids the sample has another patient's images


def turned(rgb):
    """Turn by 15 degrees: no hash of the picture finds that, but its name tells."""
    height, width = rgb.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), 15, 1)
    return cv2.warpAffine(rgb, matrix, (width, height))


# kind -> (ending of the name, pixels, what the new row keeps of the original's)
KINDS = {
    "patient": ("-other.png", None, ("patient",)),
    "source image": ("-other.png", None, ("source_image",)),
    "file under another patient": ("-again.png", lambda rgb: rgb, ()),
    "stored as BMP": (".bmp", lambda rgb: rgb, ()),
    "stored as JPEG": (".jpg", lambda rgb: rgb, ()),
    "darker": ("-2.png", lambda rgb: cv2.convertScaleAbs(rgb, alpha=0.7), ()),
    "mirrored": ("-3.png", lambda rgb: rgb[:, ::-1], ()),
    "turned by a quarter": ("-4.png", np.rot90, ()),
    "half the size": ("-5.png", lambda rgb: rgb[::2, ::2], ()),
    "turned by 15 degrees, named so": ("_rot15.png", turned, ()),
}


def write(folder, name, rgb):
    (folder / name).parent.mkdir(exist_ok=True, parents=True)
    assert cv2.imwrite(str(folder / name), np.ascontiguousarray(rgb[..., ::-1]))
    return name


def leaks(folder, rows):
    """Check a folder; return the images that any leak names, and the seconds it took."""
    columns = ("file", "label", "patient", "source_image", "split")
    lines = [",".join(columns), *(",".join(row) for row in rows)]
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    started = time.perf_counter()
    found, _ = check.run(datasets.load(folder))
    seconds = time.perf_counter() - started
    named = [set(one.pairs["image_id"]) for one in found if one.code in LEAKS]
    return set().union(*named), seconds


def main():
    shortcuts.TREES = 5  # of no interest here
    clean, planted, missed, unasked, took = 0, 0, [], 0, []
    others = [name for name in other_checkers.NAMES if other_checkers.installed(name)]
    told, kinds = collections.Counter(), {name: collections.Counter() for name in others}
    for seed in SEEDS:
        cells = sample.load("sample-cells", seed=seed)
        cells = cells[~cells["patient"].isin(LINKED)].drop_duplicates("sha256")
        random = np.random.default_rng(seed)
        tested = set()
        for _, of_class in cells.groupby("label")["patient"]:
            tested |= set(random.choice(of_class.unique(), 4, replace=False))
        with tempfile.TemporaryDirectory() as made:
            folder, rows, spare = pathlib.Path(made), [], []
            for row in cells.to_dict("records"):
                part = "test" if row["patient"] in tested else "training"
                rgb = decode.read(row["path"])
                if part == "training" and len(spare) < 3 * OF_A_KIND and random.random() < 0.1:
                    spare.append((row, rgb))  # not in the set: what a leak brings in
                    continue
                name = write(folder, f"{part}/{row['image_id']}.png", rgb)
                rows.append((name, row["label"], row["patient"], row["source_image"], part))
            found, seconds = leaks(folder, rows)
            clean += bool(found)
            told.update(f"{one} clean" for one in others if other_checkers.named(one, folder, rows))
            took.append(seconds)
            originals = [row for row in rows if row[4] == "training"]
            chosen = iter(random.permutation(len(originals)))
            expected = {}
            for kind, (ending, change, kept) in KINDS.items():
                for _ in range(OF_A_KIND):
                    name, label, patient, source, _ = originals[next(chosen)]
                    rgb = decode.read(folder / name)
                    if change is None:
                        row, rgb = spare.pop()
                        patient, source, label = row["patient"], row["source_image"], row["label"]
                        name = f"{row['image_id']}.png"
                    stem = pathlib.PurePath(name).stem
                    changed = rgb if change is None else change(rgb)
                    leaked = write(folder, f"test/{stem}{ending}", changed)
                    expected[leaked] = kind
                    who = patient if "patient" in kept else f"new{len(expected)}"
                    where = source if "source_image" in kept else f"new{len(expected)}"
                    rows.append((leaked, label, who, where, "test"))
            found, _ = leaks(folder, rows)
            planted += len(expected)
            missed += [kind for name, kind in expected.items() if name not in found]
            unasked += len(found - set(expected))
            for one in others:
                found = other_checkers.named(one, folder, rows)
                kinds[one].update(expected[name] for name in found & set(expected))
                told[f"{one} unasked"] += len(found - set(expected))
    print(f"clean sets of about {len(rows) - len(expected)} images: {len(SEEDS)}")
    print(f"  with a leak that is none: {clean}; seconds for one: {np.median(took):.1f} (median)")
    print(f"leaks planted, of {len(KINDS)} kinds: {planted}; found: {planted - len(missed)}")
    print(f"  missed: {', '.join(sorted(missed)) or 'none'}; others named as leaks: {unasked}")
    for one in other_checkers.NAMES:
        if one not in others:
            print(f"{one}: not installed, not tried")
            continue
        found = ", ".join(f"{kind} {number}" for kind, number in kinds[one].most_common())
        print(f"{one}: {kinds[one].total()} of {planted} ({found})")
        print(f"  clean sets with a leak: {told[f'{one} clean']}; others: {told[f'{one} unasked']}")


if __name__ == "__main__":
    main()
