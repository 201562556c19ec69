"""The benchmark on images that no profile names: what follows from a folder, and from methods."""

import os
import pathlib

import pandas as pd
import pytest

from benchmarks import bench_own
from leukkit import benchmark, cli, datasets, metrics, papers, runs
from leukkit.benchmark import leaderboard
from tests.datasets import trees


def write(root, normal=4, blast=6, images=3, patients=True, kind="png", start=0):
    """Write a folder of one's own: so many patients of each class, so many images of each."""
    lines = ["file,label,patient" if patients else "file,label"]
    for label, count in {"normal": normal, "blast": blast}.items():
        for patient in range(count):
            for image in range(images):
                name = f"{label}/{patient}-{image}.{kind}"
                trees.write(
                    root / name, start + 100 * (label == "blast") + 10 * patient + image, 40
                )
                lines.append(f"{name},{label}" + f",{label}{patient}" * patients)
    (root / "labels.csv").write_text("\n".join(lines))
    return str(root)


def test_what_a_profile_needs_follows_from_the_folder(tmp_path):
    folder = write(tmp_path / "my cells.v2", normal=5, blast=7)
    for key in ("honest", "gap"):
        numbers = benchmark.load(key, "sample", folder)
        assert numbers.name == "my_cells_v2-sample"
        assert {run.data for run in numbers.plan()} == {folder}
        # Table I of Farag et al.: 8,000 of 7,272 of the larger class, and as many of the other.
        assert numbers.copies["cnmc-2019"]["counts"] == {"blast": 24, "normal": 24}
    assert {
        tuple(run.models_kept) for run in benchmark.load("honest", "sample", folder).plan()
    } == {(0,)}
    with pytest.warns(UserWarning, match="3 folds, not 5: class 'normal' has no more subjects"):
        numbers = benchmark.load("gap", "paper", write(tmp_path / "few", normal=3))
    assert {table.folds for table in numbers.splits.values()} == {3}


@pytest.mark.filterwarnings("ignore:.* folds, not")
@pytest.mark.parametrize("name", ["sample", "paper"])
@pytest.mark.parametrize("normal", [3, 4, 5])
def test_every_method_can_be_divided_however_few_subjects(tmp_path, name, normal):
    """Also the grid search's folds within a training part, which hold subjects whole."""
    numbers = benchmark.load("honest", name, write(tmp_path / "cells", normal))
    chosen = {repr(run.table): run for run in numbers.plan("subject")}
    for run in chosen.values():
        split = runs.split_of(run)
        assert len(split.folds) == (3 if name == "sample" else normal)
        assert not run.table.get("tuning") or min(map(len, split.tuning)) >= 2


def test_too_few_subjects_are_refused_with_the_number_it_takes(tmp_path):
    folder = write(tmp_path / "cells", normal=2)
    for key in ("honest", "gap"):
        with pytest.raises(ValueError, match=r"cells: class 'normal' has 2 subjects; .* least 3"):
            benchmark.load(key, "sample", folder)


def test_images_are_kept_together_by_what_they_know(tmp_path, monkeypatch):
    monkeypatch.setenv("LEUKKIT_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(runs, "_load", runs._load.__wrapped__)
    trees.write_all_2021(tmp_path / "all-2021", (1, 36, 40, 80, 120))
    known = {
        write(tmp_path / "known"): "subject",
        "all-2021": "block",
        write(tmp_path / "unknown", patients=False): "image",
    }
    for data, kind in known.items():
        numbers = benchmark.load("honest", "sample", data)
        assert {run.split for run in numbers.plan()} == {kind, "official"}
        (split,) = leaderboard.possible(numbers).values()  # no parts of their own
        assert split.table.split == ("stratified" if kind == "image" else "subject")
        assert benchmark.KEPT[metrics.groups(split.cells)[1]][0] == kind
        assert "nothing can be tested" in leaderboard.problem(numbers, "official")
        # As the leak-free split of the papers on ALL 2021: 36 and 40 lie in two blocks.
        embargo = papers.load("mishra").split("leak-free", "paper")["embargo"] * (kind == "block")
        assert split.table.embargo == embargo
        of_gap = benchmark.load("gap", "sample", data).splits["plain-by-subject"]
        assert of_gap.embargo == embargo
        for fold in split.folds if embargo else ():
            trained, tested = (split.cells.iloc[part] for part in (fold.train, fold.test))
            pairs = trained.merge(tested, on="sequence")
            assert ((pairs["number_x"] - pairs["number_y"]).abs() > embargo).all()


def test_images_of_which_only_some_have_a_patient_are_refused(tmp_path):
    folder = write(tmp_path / "cells")
    table = tmp_path / "cells" / "labels.csv"
    table.write_text(table.read_text().replace(",blast3", ","))
    with pytest.raises(ValueError, match="3 of 30 images have no subject"):
        benchmark.load("honest", "sample", folder)


def test_methods_are_chosen_by_paper_run_classifier_or_network():
    def chosen(methods, name="paper"):
        return [run.name for run in benchmark.load("honest", name, methods=methods).plan("subject")]

    assert chosen("farag2025:svm, mishra") == ["farag2025_densenet201_svm", "mishra_vgg16-cnn"]
    assert chosen("farag2025:densenet201_rf,patel2025:vgg19", "sample") == [
        *("farag2025_densenet201_rf", "patel2025_vgg19")
    ]
    members = [f"sultana_{name}_member" for name in ("densenet121", "efficientnetb7", "xception")]
    assert chosen("sultana:dex") == [*members, "sultana_dex"]
    assert len(chosen("samhitha")) == 5
    for methods in ("farag2025:svn", "nobody2030", "mishra,"):
        with pytest.raises(ValueError, match=r"farag2025:densenet201_svm, .*mishra:vgg16-cnn"):
            chosen(methods)


def test_one_command_gives_both_tables_of_a_folder(tmp_path, monkeypatch, capsys):
    for name in ("TQDM_DISABLE", "LEUKKIT_PROFILE", "LEUKKIT_RESULTS_DIR"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setattr(runs, "_load", runs._load.__wrapped__)
    folder, out = write(tmp_path / "cells", patients=False), tmp_path / "results"
    small = "[networks.densenet201]\nnetwork = 'mobilenet-0.25'\n"
    recipe = "width = 1.0\nimage_size = 32\nweights = 'none'\nc = [1]\nkernels = ['rbf']\n"
    svm = f"[runs.farag2025_densenet201_svm]\n{recipe}gamma = [0.001]\n"
    (tmp_path / "small.toml").write_text(f"extends = 'sample'\n{small}{svm}")
    gap = f"extends = 'sample'\nleave_out = ['repeat-[1-4]']\n{small}[recipe]\n{recipe}"
    (tmp_path / "gap").mkdir()
    (tmp_path / "gap" / "small.toml").write_text(gap)
    monkeypatch.setenv("LEUKKIT_GAP_PROFILE", str(tmp_path / "gap" / "small.toml"))
    command = ["benchmark", "--data", folder, "--methods", "farag2025:svm"]
    command += ["--profile", str(tmp_path / "small.toml"), "--results-dir", str(out)]
    assert cli.main(command) == 0
    said = capsys.readouterr().out
    assert "image: 3 folds; no patients are named: single images are divided" in said
    assert "official: left out: cells: none of the 30 images" in said
    assert "mobilenet-0.25 + svm" in said and "copies of one cell" in said
    assert "30 of 30" in said and "Other people" not in said and "mishra" not in said
    folds = sorted((out / "honest/cells-small/image/farag2025_densenet201_svm").glob("fold-*"))
    assert [(fold / "predictor.json").exists() for fold in folds] == [True, False, False]
    assert {path.name for path in (out / "gap/cells-small").iterdir()} == {
        *("copies-before-by-image", "copies-after-by-image", "plain-by-image")
    }
    write(tmp_path / "cells", patients=False, start=1000)  # the same names, other images
    assert cli.main(command) == 1
    assert "finished fold of another configuration" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore:.* folds, not")
def test_real_cells_as_a_folder_of_ones_own_are_predicted_the_same(
    test_data, mobilenet_weights, tmp_path, monkeypatch
):
    monkeypatch.setenv("LEUKKIT_WEIGHTS_DIR", str(mobilenet_weights.parent))
    monkeypatch.setenv("LEUKKIT_DATA_DIR", os.environ.get("LEUKKIT_DATA_DIR", ""))
    monkeypatch.setenv("TQDM_DISABLE", "1")
    monkeypatch.setattr(runs, "_load", runs._load.__wrapped__)
    paths = sorted((test_data / "cnmc-2019-subset").glob("*/fold_?/*/*"))
    patients = pd.Series([path.stem.split("_")[1] for path in paths])
    sharing = patients.isin(["51", "75", "78"])  # who have identical files
    for position in patients.index[sharing | (patients.groupby(patients).cumcount() < 2)]:
        link = tmp_path / "few" / pathlib.Path(*paths[position].parts[-3:])
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(paths[position])
    cells = datasets.load("cnmc-2019", tmp_path / "few", links="identical")
    twice = cells["sha256"].duplicated(keep=False)
    part = cells[twice | (cells.groupby("patient").cumcount() < 2)]
    published, own = bench_own.compare(
        part, tmp_path, "image_size = 64\nc = [10, 100]\ngamma = [0.001]\n"
    )
    assert own["subject"].str.contains("+", regex=False).any()  # joined by identical files
    same = ["image_id", "label", "subject", "fold"]
    pd.testing.assert_frame_equal(published[same], own[same])
    probabilities = ["prob_healthy", "prob_ALL"]
    pd.testing.assert_frame_equal(published[probabilities], own[probabilities], rtol=1e-12)
