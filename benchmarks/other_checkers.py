"""What other packages name as leaks, where they are installed: dicleak, imgcheck, cleanvision.

``python -m pip install dicleak imgcheck cleanvision`` in an environment of its own; none of them is
a dependency. Each is given what it can take: ids, or folders of the parts, or all images.
"""

import contextlib
import importlib.util
import io
import os
import pathlib
import tempfile

import pandas as pd

NAMES = ("dicleak", "imgcheck", "imgcheck, in any orientation", "cleanvision")


def installed(name):
    return importlib.util.find_spec(name.partition(",")[0]) is not None


def named(name, folder, rows):
    """Return the test images that a package names as leaked; rows as in `bench_leaks`."""
    folder = folder.absolute()
    with tempfile.TemporaryDirectory() as made, contextlib.ExitStack() as silent:
        silent.enter_context(contextlib.redirect_stdout(io.StringIO()))
        silent.enter_context(contextlib.redirect_stderr(io.StringIO()))
        return FUNCTIONS[name](pathlib.Path(made), folder, rows)


def dicleak(made, folder, rows):
    from dicleak import checks, readers

    frame = pd.DataFrame(rows, columns=["filepath", "label", "patient_id", "source", "split"])
    frame.replace({"training": "train"}).to_csv(made / "manifest.csv", index=False)
    read = readers.read_manifest(made / "manifest.csv")
    assert not read.invalid_rows
    found = checks.check_leakage(read.rows, checks.AuditConfig(show_ids=True))
    told = "; ".join(one.detail.partition(" Identifiers: ")[2] for one in found)
    assert "omitted" not in told  # it lists ten
    patients = {text.split(" (")[0] for text in told.split("; ")}
    return {row[0] for row in rows if row[2] in patients and row[4] == "test"}


def imgcheck(made, folder, rows, **settings):
    from imgcheck.leakage import check_train_test_leakage

    links = {}
    for name, label, _, _, part in rows:
        link = made / part / label / pathlib.PurePath(name).name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(folder / name)
        links[link.name] = name
    check_train_test_leakage(
        *(str(made / part) for part in ("training", "test", "report.xlsx")),
        extra_formats=["csv"],
        **settings,
    )
    (table,) = made.glob("*matches*.csv")
    found = pd.read_csv(table)["Test Image"] if table.stat().st_size > 5 else []
    return {links[name] for name in found if links[name].startswith("test/")}


def in_any_orientation(made, folder, rows):
    return imgcheck(made, folder, rows, rotation_invariant=True)


def cleanvision(made, folder, rows):
    """Sets of duplicates: it knows no parts, so it is told afterwards which sets lie in two."""
    from cleanvision import Imagelab

    lab = Imagelab(filepaths=[str(folder / row[0]) for row in rows])
    lab.find_issues({"exact_duplicates": {}, "near_duplicates": {}}, n_jobs=1, verbose=False)
    part, found = {str(folder / row[0]): row[4] for row in rows}, set()
    for kind in ("exact_duplicates", "near_duplicates"):
        for alike in lab.info[kind]["sets"]:
            if len({part[path] for path in alike}) == 2:
                found |= {os.path.relpath(path, folder) for path in alike if part[path] == "test"}
    return found


FUNCTIONS = dict(zip(NAMES, (dicleak, imgcheck, in_any_orientation, cleanvision), strict=True))
