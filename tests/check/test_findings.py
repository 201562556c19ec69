"""Planted leaks are found, clean sets have none, and what is found is told in three forms."""

import json
import pathlib
import subprocess
import sys

import cv2
import numpy as np
import pytest

from leukkit import check, cli, datasets
from leukkit.check import shortcuts
from leukkit.datasets import near_duplicates


@pytest.fixture(autouse=True)
def small_forests(monkeypatch):
    monkeypatch.setattr(shortcuts, "TREES", 5)


LEAKS = {f"LK00{number}" for number in range(1, 7)}


def picture(seed):
    """Clouds that no other seed has."""
    clouds = np.random.default_rng(seed).integers(0, 256, (6, 6, 3)).astype(np.uint8)
    return cv2.resize(clouds, (48, 48), interpolation=cv2.INTER_CUBIC)


@pytest.fixture
def folder(tmp_path):
    """Six patients of two classes, four images each; three in train, three in test."""
    rows = []
    for seed in range(24):
        patient = seed // 4
        part, label = ("train", "test")[patient // 3], ("normal", "blast")[patient % 2]
        rows.append(add(tmp_path, f"{part}/c{seed}.png", picture(seed), label, f"P{patient}"))
    write(tmp_path, rows)
    return tmp_path, rows


def add(folder, name, pixels, label="normal", patient="", source="", part=""):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)
    return f"{name},{label},{patient},{source},{part or name.split('/')[0]}"


def write(folder, rows):
    text = "\n".join(["file,label,patient,source_image,split", *rows]) + "\n"
    (folder / "labels.csv").write_text(text.replace(",train\n", ",training\n"))


def codes(folder):
    found, _ = check.run(datasets.load(folder, damaged="keep"))
    return {finding.code: finding for finding in found}


def test_pictures_that_are_all_alike_are_an_error_in_words(folder, monkeypatch):
    monkeypatch.setattr(near_duplicates, "MOST", 2)
    darker = [cv2.convertScaleAbs(picture(0), alpha=0.9 - number / 20) for number in range(3)]
    rows = [
        add(folder[0], f"test/d{n}.png", rgb, "normal", f"D{n}") for n, rgb in enumerate(darker)
    ]
    write(folder[0], folder[1] + rows)
    found = codes(folder[0])["LK009"]
    assert found.level == "error" and "27 images are too much alike to list pairs" in found.message
    assert cli.main(["check", str(folder[0])]) == 1


@pytest.mark.parametrize(
    "code, image",
    [
        ("LK001", ("test/new.png", picture(100), "normal", "P0")),
        ("LK003", ("test/new.png", picture(100), "normal", "P9", "smear 1")),
        ("LK004", ("test/new.bmp", picture(0), "normal", "P9")),
        ("LK002", ("test/new.png", picture(0), "normal", "P9")),
        ("LK005", ("test/c0_rot15.png", picture(100), "normal", "P9")),
        ("LK006", ("test/new.png", picture(0) // 3 * 2, "normal", "P9")),
        ("LK006", ("test/new.png", picture(0)[::-1].copy(), "normal", "P9")),
        ("LK006", ("test/new.jpg", picture(0), "normal", "P9")),
    ],
)
def test_a_planted_leak_is_found(folder, code, image):
    folder, rows = folder
    rows[0] = rows[0].replace("P0,,", "P0,smear 1,")
    write(folder, [*rows, add(folder, *image)])
    found = codes(folder)
    assert image[0] in set(found[code].pairs["image_id"])
    assert found[code].level == "error"
    like = found[code].pairs.set_index("image_id").loc[image[0], "like"]
    assert like == "train/c0.png" or code in ("LK001", "LK002")


def test_folds_and_manifests_are_parts_too(folder, tmp_path):
    cells = datasets.load(folder[0])
    table = cells[["image_id"]].assign(fold=np.arange(len(cells)) % 2)
    table.to_csv(tmp_path / "folds.csv", index=False)
    part = check.parts(cells, tmp_path / "folds.csv")
    assert part.value_counts().to_dict() == {"fold 0": 12, "fold 1": 12}
    found, _ = check.run(cells, part)
    (leak,) = (finding for finding in found if finding.code == "LK001")
    assert leak.message.startswith("12 of 12 images in fold 1 share their patient with images in f")


@pytest.mark.parametrize(
    "text, message",
    [
        ("image_id,who\na,b\n", "expected the columns image_id"),
        ("image_id,fold\nx,0\n", "none of its 1 images is here, e.g. x"),
        ("image_id,fold\nx,0\nx,1\n", "x has more than one row"),
    ],
)
def test_a_manifest_that_does_not_fit_is_named(folder, tmp_path, text, message):
    (tmp_path / "folds.csv").write_text(text)
    with pytest.raises(ValueError, match=rf"folds\.csv: {message}"):
        check.parts(datasets.load(folder[0]), tmp_path / "folds.csv")


def test_parts_without_a_class_or_with_other_shares(folder):
    folder, rows = folder
    write(folder, [row.replace("blast", "normal") if "test/" in row else row for row in rows])
    found = codes(folder)
    assert "test holds no image of blast" in found["LK202"].message
    assert "blast" in found["LK201"].message or "normal" in found["LK201"].message


def test_what_is_not_known_is_said(folder):
    folder, rows = folder
    write(folder, [",".join([*row.split(",")[:2], "", "", ""]) for row in rows])
    found = codes(folder)
    assert "24 of 24 images name no patient" in found["LK007"].message
    assert "LK008" in found and not set(found) & LEAKS


def test_a_shortcut_and_a_kind_of_file_that_tell_the_class(tmp_path):
    rows = []
    for seed in range(40):
        label, ending = (("normal", "png"), ("blast", "bmp"))[seed % 2]
        pixels = picture(seed) // 2 + 100 * np.uint8(seed % 2)
        rows.append(add(tmp_path, f"all/{seed}.{ending}", pixels, label, f"P{seed // 2}{label}"))
    write(tmp_path, rows)
    found = codes(tmp_path)
    assert "mean color" in found["LK101"].message
    assert "normal: PNG 48x48 (100%)" in found["LK102"].message


def test_the_command_tells_in_words_json_and_sarif_and_by_its_status(folder, tmp_path, capsys):
    folder, rows = folder
    assert cli.main(["check", str(folder)]) == 0
    write(folder, [*rows, add(folder, "test/new.png", picture(0), "normal", "P9")])
    files = [tmp_path / name for name in ("out.json", "out.sarif", "out.png")]
    kinds = ("json", "sarif", "figure")
    asked = [f"--{kind}={path}" for kind, path in zip(kinds, files, strict=True)]
    assert cli.main(["check", str(folder), *asked]) == 1
    said = "error LK004: the same pixels in two parts. 1 of 13 images in test"
    assert said in capsys.readouterr().out
    record = json.loads(files[0].read_text())
    (found,) = (one for one in record["findings"] if one["code"] == "LK004")
    ends = found["images"][0]
    assert (ends["image_id"], ends["like"]) == ("test/new.png", "train/c0.png")
    (log,) = json.loads(files[1].read_text())["runs"]
    (result,) = (one for one in log["results"] if one["ruleId"] == "LK004")
    assert result["level"] == "error"
    place = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert place == "test/new.png"
    assert {rule["id"] for rule in log["tool"]["driver"]["rules"]} == set(check.CODES)


def test_every_code_is_explained():
    lines = (pathlib.Path(check.__file__).parents[2] / "docs/findings.md").read_text().splitlines()
    assert [line[3:8] for line in lines if line.startswith("## LK")] == list(check.CODES)


def test_tensorflow_is_not_imported(folder):
    code = (
        "import sys; from leukkit import cli; cli.main(sys.argv[1:]);"
        "assert not {'tensorflow', 'keras', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, "check", str(folder[0])], check=True)


def test_of_large_sets_the_shortcuts_see_whole_subjects(folder, monkeypatch):
    monkeypatch.setattr(check.findings, "IMAGES", 10)
    cells = datasets.load(folder[0])
    some = check.findings._some(cells, 0)
    assert len(some) == 8 and (some["subject"].value_counts() == 4).all()
