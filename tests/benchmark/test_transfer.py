"""One set's methods on another's images, on sets in which the color says the class by design."""

import cv2
import numpy as np
import pytest

from leukkit import cli, datasets, plots, results, runs, splits
from leukkit.benchmark import transfer

SIDE, IMAGES, PATIENTS = 40, 2, 5
PROFILE = """
extends = 'sample'
[runs.farag2025_densenet201_rf]
network = 'mobilenet-0.25'
width = 1.0
image_size = 32
weights = 'none'
[networks.densenet201]
network = 'mobilenet-0.25'
"""
BLAST, NORMAL = (190, 90, 150), (120, 90, 200)


def write(root, seed, colors, classes=("normal", "blast"), patients=True):
    """Write a set whose classes differ in nothing but their color: clouds around it."""
    random, lines = np.random.default_rng(seed), []
    for label, color in zip(classes, colors, strict=True):
        for number in range(PATIENTS * IMAGES):
            clouds = random.normal(color, 40, (6, 6, 3)).clip(0, 255).astype(np.uint8)
            name = f"{label}/{number}.png"
            (root / label).mkdir(parents=True, exist_ok=True)
            picture = cv2.resize(clouds, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
            cv2.imwrite(str(root / name), picture[..., ::-1])
            lines.append(f"{name},{label}" + f",{label}{number // IMAGES}" * patients)
    header = "file,label" + ",patient" * patients
    (root / "labels.csv").write_text("\n".join([header, *lines]))
    return str(root)


@pytest.fixture
def three(tmp_path, monkeypatch):
    """Write A and B, whose colors say the same, and C, whose say the opposite."""
    monkeypatch.setattr(runs, "_load", runs._load.__wrapped__)
    monkeypatch.setenv("TQDM_DISABLE", "1")
    (tmp_path / "small.toml").write_text(PROFILE)
    order = {"A": (NORMAL, BLAST), "B": (NORMAL, BLAST), "C": (BLAST, NORMAL)}
    return [write(tmp_path / name, seed, order[name]) for seed, name in enumerate(order)]


def test_the_matrix_shows_which_color_travels(three, tmp_path, monkeypatch, capsys):
    for name in ("PROFILE", "RESULTS_DIR"):
        monkeypatch.setenv(f"LEUKKIT_{name}", "")
    out, figure = tmp_path / "results", tmp_path / "transfer.png"
    call = [*three, "--methods", "farag2025:rf", "--figure", str(figure)]
    profile = ["--profile", str(tmp_path / "small.toml"), "--results-dir", str(out)]
    assert cli.main(["transfer", *call, *profile]) == 0
    printed = capsys.readouterr().out
    assert "AUC on the set of each column, intervals (95%) over its subjects" in printed
    assert figure.exists()
    measured = transfer.measure("A-B-C-small", out)
    assert len(measured) == 2 * len(transfer.VARIANTS) * 3 * 3
    assert (measured["groups"] == 2 * PATIENTS).all()
    assert measured[["value", "low", "high"]].notna().all(axis=None)
    auc = measured[measured["quantity"] == "auc"]
    auc = auc.set_index(["images of", "trained on", "tested on"])["value"]
    for same in ("AA", "BB", "CC", "AB", "BA"):
        assert auc["color"][*same] > 0.9
    for opposite in ("AC", "BC", "CA", "CB"):
        assert auc["color"][*opposite] < 0.1
        assert auc["original"][*opposite] < 0.5
    for row in results.find(out, "transfer", "A-B-C-small").itertuples():
        for record in results.read_records(row.folder):
            assert not any(record.leakage[name] for name in ("subject", "bytes"))
    assert cli.main(["transfer", *call, *profile]) == 0  # all is there
    assert capsys.readouterr().out.splitlines()[-1] == printed.splitlines()[-1]


def test_what_two_sets_share_is_not_trained_on(three, tmp_path):
    """A file of A under another name in B, and one of A, darker and mirrored, in C."""
    roots = [tmp_path / name for name in "ABC"]
    (roots[1] / "blast" / "3.png").write_bytes((roots[0] / "blast" / "4.png").read_bytes())
    picture = cv2.imread(str(roots[0] / "normal" / "7.png"))
    altered = cv2.convertScaleAbs(picture[:, ::-1], alpha=0.8)
    cv2.imwrite(str(roots[2] / "normal" / "9.png"), altered)
    loaded = transfer.load(three, str(tmp_path / "small.toml"), "farag2025:rf")
    prepared = transfer.prepare(loaded)
    counted = transfer.left_out(prepared).set_index(["trained on", "tested on"])
    expected = dict.fromkeys(["AB", "BA", "AC", "CA"], 1) | dict.fromkeys(["BC", "CB"], 0)
    for (one, other), subjects in expected.items():
        assert counted.loc[(one, other), "subjects"] == subjects
        assert counted.loc[(one, other), "images"] == subjects * IMAGES  # the whole subject
    joined = transfer.join(prepared, "A", "C")
    trained = joined[joined["split"] == "training"]
    assert len(joined) == 2 * 2 * PATIENTS * IMAGES - IMAGES
    assert not trained["image_id"].isin(["normal/6.png (A)", "normal/7.png (A)"]).any()


def test_without_patients_the_image_alone_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "_load", runs._load.__wrapped__)
    (tmp_path / "small.toml").write_text(PROFILE)
    sets = [write(tmp_path / n, 5 + i, (NORMAL, BLAST), patients=False) for i, n in enumerate("AB")]
    copied = (tmp_path / "A" / "blast" / "4.png").read_bytes()
    (tmp_path / "B" / "blast" / "3.png").write_bytes(copied)
    loaded = transfer.load(sets, str(tmp_path / "small.toml"), "farag2025:rf")
    prepared = transfer.prepare(loaded)
    assert transfer.left_out(prepared)["images"].tolist() == [1, 1]
    made = transfer.run(loaded, prepared, ["color"], tmp_path / "results")
    assert len(made) == 4
    measured = transfer.measure("A-B-small", tmp_path / "results")
    assert set(measured["groups_are"]) == {"original images"}


def test_of_more_classes_all_but_the_healthy_one_are_positive(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "_load", runs._load.__wrapped__)
    (tmp_path / "small.toml").write_text(PROFILE)
    assert transfer.positive(datasets.load("sample-smears")) == ["early", "pre", "pro"]
    assert transfer.positive(datasets.load("sample-cells")) == ["ALL"]
    types = write(tmp_path / "types", 3, (NORMAL, BLAST, BLAST), ("B", "T", "NK"))
    two = write(tmp_path / "two", 4, (NORMAL, BLAST))
    with pytest.raises(ValueError, match="types: which of its 3 classes B, NK, T are positive"):
        transfer.load([two, types], str(tmp_path / "small.toml"))


def test_one_set_or_one_twice_is_refused(three, tmp_path):
    profile = str(tmp_path / "small.toml")
    with pytest.raises(ValueError, match="expected two sets or more"):
        transfer.load(three[:1], profile)
    with pytest.raises(ValueError, match="a set called A is named before"):
        transfer.load([three[0], three[0]], profile)


def test_sets_of_the_same_images_leave_nothing_to_train_on(three, tmp_path):
    for path in (tmp_path / "A").glob("*/*.png"):
        (tmp_path / "B" / path.relative_to(tmp_path / "A")).write_bytes(path.read_bytes())
    loaded = transfer.load(three, str(tmp_path / "small.toml"), "farag2025:rf")
    with pytest.raises(ValueError, match=r"A to B: .* 0 images of A are left"):
        transfer.run(loaded, transfer.prepare(loaded), base=tmp_path / "results")


def test_a_profile_with_official_parts_alone_is_refused(three, tmp_path):
    official = PROFILE.replace("width", "splits = ['official']\nwidth")
    (tmp_path / "small.toml").write_text(official)
    loaded = transfer.load(three, str(tmp_path / "small.toml"), "farag2025:rf")
    with pytest.raises(ValueError, match="no split but the official one"):
        transfer.run(loaded, transfer.prepare(loaded), base=tmp_path / "results")


def test_nothing_run_is_no_figure(tmp_path):
    with pytest.raises(ValueError, match="no auc was measured"):
        plots.transfer(transfer.measure("none", tmp_path))


def test_every_method_copies_training_images_alone(three, monkeypatch):
    """Also those whose copies are counted by class, under the classes that all sets have."""
    asked = {}
    monkeypatch.setattr(runs, "make", lambda planned, **given: asked.update(given, of=planned))
    loaded = transfer.load(three[:2], "paper")
    transfer.run(loaded, transfer.prepare(loaded), ["original"])
    chosen = {repr((run.data, run.table)): run for run in asked["of"]}.values()
    assert {kind for run in chosen for kind in run.table.get("copies", {})} == {
        *("counts", "each", "balance")
    }
    for run in chosen:
        split = runs.split_of(run, asked["cells"])
        found = splits.leakage(split)[["subject", "bytes", "original"]]
        assert not found.fillna(0).to_numpy(float).any()
        copies = split.cells.get("copy", split.cells["label"].isna())
        for fold in split.folds:
            if {"counts", "each"} & run.table.get("copies", {}).keys():
                assert copies.iloc[fold.train].any()
            assert not copies.iloc[[*fold.validation, *fold.test]].any()
            if run.split == "A-to-B":
                assert not split.cells["set"].iloc[[*fold.train, *fold.validation]].eq("B").any()


def test_official_folds_of_real_cells_share_the_subjects_known_to_be_one(
    test_data, tmp_path, monkeypatch
):
    """Folds 0, 1 and 2 of C-NMC as three sets: by identical cells and those cut out twice."""
    monkeypatch.setattr(runs, "_load", runs._load.__wrapped__)
    for fold in ("fold_0", "fold_1", "fold_2"):
        lines = ["file,label,patient"]
        for path in sorted((test_data / "cnmc-2019-subset").glob(f"*/{fold}/*/*")):
            label = {"hem": "healthy", "all": "ALL"}[path.parent.name]
            link = tmp_path / fold / label / path.name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path)
            lines.append(f"{label}/{path.name},{label},{path.stem.split('_')[1].upper()}")
        (tmp_path / fold / "labels.csv").write_text("\n".join(lines))
    sets = [str(tmp_path / f"fold_{fold}") for fold in range(3)]
    prepared = transfer.prepare(transfer.load(sets, "sample", "farag2025:rf"))
    for one, other, shared in (
        ("fold_0", "fold_1", {"20"}),  # by way of 16
        ("fold_0", "fold_2", {"20", "H6", "H7"}),  # 21, H2
        ("fold_1", "fold_0", {"16"}),
        ("fold_1", "fold_2", {"16", "51", "H10"}),  # 20 = 21, 75 and 78, H3
        ("fold_2", "fold_0", {"21", "H2", "H4", "H5"}),
        ("fold_2", "fold_1", {"21", "75", "78", "H3"}),
    ):
        gone = prepared[one][prepared[one]["group"].isin(prepared[other]["group"])]
        assert {name.removesuffix(f" ({one})") for name in gone["patient"]} == shared
