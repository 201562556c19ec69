"""Result cards and data cards: the numbers in them, and names that look like markup."""

import json
import os
import pathlib

import mistune
import numpy as np
import pandas as pd
import pytest

from leukkit import classifiers, cli, datasets, metrics, papers, results
from leukkit.datasets.official import FACTS
from leukkit.kept_models import classifier_files
from leukkit.report import data_cards, markdown, result_cards

FOUR = ("benign", "early", "pre", "pro")
NASTY = "<img src=x onerror=alert(1)>|`*_[a](b)_*`"


def predictions(outcomes, classes=("healthy", "ALL"), first=0):
    """Return one image per (label, predicted class); two images are of one subject."""
    rows = []
    for number, (label, predicted) in enumerate(outcomes, start=first):
        row = {"image_id": f"image-{number}", "subject": f"subject-{number // 2}", "label": label}
        rest = 0.1 / (len(classes) - 1)
        rows.append(row | {f"prob_{name}": 0.9 if name == predicted else rest for name in classes})
    return pd.DataFrame(rows)


FIRST = predictions([("ALL", "ALL")] * 2 + [("ALL", "healthy"), ("healthy", "healthy")])
SECOND = predictions([("ALL", "ALL"), ("healthy", "ALL")] + [("healthy", "healthy")] * 4, first=4)
RECIPE = {
    "network": "vgg19",
    "phases": [{"epochs": 3, "learning_rate": 0.001, "trainable": "head"}],
    "weights": "imagenet",
    "optimizer": "adam",
    "momentum": 0.9,
    "augmentation": {"rotation": 20},
    "patience": 0,
}
LEAKS = {"patient": 0.0, "subject": 0.0, "source_image": 0.0, "bytes": 0.0, "original": None}
PLACE = ("patel2025", "sample", "leak-free", "cnmc-2019_vgg19")


def write(base, tested, fold=0, folds=1, place=PLACE, model="model.keras", leaks=LEAKS, **changes):
    """Write a finished fold that kept a model (its bytes do not matter to a card)."""
    configuration = {
        "paper": place[0],
        "run": {"dataset": "cnmc-2019", "model": "vgg19", "variant": ""},
        "dataset": "sample-cells",
        "classes": [name.removeprefix("prob_") for name in tested if name.startswith("prob_")],
        "recipe": RECIPE,
        "augmentation": {"zoom": 0.2},
        "seed": 7,
        "images": {"train": "a", "validation": "b", "test": "c"},
        **changes,
    }
    folder = results.fold_dir(base, *place, fold)
    results.write_fold(
        folder,
        configuration,
        tested,
        folds=folds,
        seed=7,
        seconds=90,
        leakage={**leaks, "test_images": len(tested)},
        weights_used="random, seed 7",
        parameters=12345,
        epochs=3,
        selected={"epoch": 2},
        images={"train": 40, "validation": 5, "test": len(tested)},
    )
    if model:
        (folder / model).write_bytes(b"weights")
    return folder


def row(text, name):
    """Return the cells of the table row that begins with a name."""
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {name} |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


@pytest.fixture
def two_folds(tmp_path):
    write(tmp_path, FIRST, fold=0, folds=2)
    write(tmp_path, SECOND, fold=1, folds=2, model=None)
    return tmp_path


def test_a_card_stands_beside_each_kept_model_with_the_scores_of_run_and_fold(two_folds):
    written = result_cards.write(two_folds, draws=200)
    place = "/".join(PLACE)
    assert written["model"].tolist() == [f"{place}/fold-0/model.keras"]
    assert written["card"].tolist() == [f"{place}/fold-0/CARD.md"]
    assert written["skipped"].isna().all()
    text = (two_folds / written["card"][0]).read_text()
    both = pd.concat([FIRST.assign(fold=0), SECOND.assign(fold=1)])
    low, high = metrics.bootstrap(both, draws=200).loc["accuracy", ["low", "high"]]
    # all folds: 8 of 10 right; this one: 3 of 4
    assert row(text, "accuracy") == ["accuracy", f"0.800 ({low:.3f} to {high:.3f})", "0.750"]
    assert (
        row(text, "precision")[1:][0].startswith("0.750") and row(text, "precision")[2] == "1.000"
    )
    assert "10 test images in 2 folds" in text and "4 by this one" in text
    assert "positive class is ALL" in text and "5 subjects" in text


def test_a_card_says_what_it_was_trained_on_and_how(two_folds):
    result_cards.write(two_folds, draws=10)
    text = (two_folds.joinpath(*PLACE) / "fold-0" / "CARD.md").read_text()
    assert text.startswith("# VGG-19, patel2025, leak-free, fold 0\n")
    assert papers.load("patel2025").paper["title"] in text
    for line in (
        "- **images:** sample-cells, in place of C-NMC 2019; drawn by the kit",
        "- **images for training, augmented copies included:** 40",
        "- **images for test:** 4",
        "- **phases:** epochs 3, learning_rate 0.001, trainable head",
        "- **weights:** random, seed 7",
        "- **augmentation, in every epoch anew:** rotation 20",
        "- **augmentation of the copies made before training:** zoom 0.2",
        "- **patience in epochs (0: no early stop):** 0",
        "- **seed:** 7",
        "- **chosen:** epoch 2",
        "- **parameters:** 12,345",
        "- **minutes:** 1.5",
        "- **versions:** Python 3",
    ):
        assert f"\n{line}" in text
    assert "momentum" not in text  # Adam has none
    assert "models.load(" in text and "Not for clinical use" in text


def test_a_card_names_the_network_that_was_trained_not_the_one_it_stands_for(tmp_path):
    folder = write(tmp_path, FIRST, recipe={**RECIPE, "network": "mobilenet-0.25"})
    result_cards.write(tmp_path, draws=10)
    text = (folder / "CARD.md").read_text()
    assert text.startswith("# MobileNet 0.25, patel2025, leak-free, fold 0\n")
    assert "- **model:** MobileNet 0.25, in place of VGG-19\n" in text


def test_limits_are_those_of_this_run(tmp_path, two_folds):
    result_cards.write(two_folds, draws=10)
    text = (two_folds.joinpath(*PLACE) / "fold-0" / "CARD.md").read_text()
    assert "drawn images" in text and "None of the leaks that could be looked for" in text
    assert "Not known, and so not excluded" in text and "augmented copy" in text
    assert row(text, "subject (subject)")[1:] == ["0.0%", "0.0%"]
    assert row(text, "original, or an augmented copy of it")[1:] == ["not known", "not known"]

    leaky = ("patel2025", "sample", "published", "cnmc-2019_vgg19")
    same = {"train": "a", "validation": "c", "test": "c"}
    leaks = {**LEAKS, "subject": 0.5}
    write(tmp_path, FIRST, place=leaky, leaks=leaks, dataset="cnmc-2019", images=same)
    result_cards.write(tmp_path, draws=10)
    text = (tmp_path.joinpath(*leaky) / "fold-0" / "CARD.md").read_text()
    assert "**The test leaks:** 50.0% of the test images are of subjects" in text
    assert "validation images are the test images" in text
    assert "drawn" not in text
    assert "Tested on cnmc-2019 alone" in text
    assert "fold 0 alone" not in text  # there is one fold: it is the run


def test_of_more_than_two_classes_the_sensitivity_of_each_is_shown(tmp_path):
    outcomes = [(name, name) for name in FOUR] + [("early", "pre")] * 3
    folder = write(tmp_path, predictions(outcomes, FOUR))
    result_cards.write(tmp_path, draws=50)
    text = (folder / "CARD.md").read_text()
    assert row(text, "sensitivity, early")[1].startswith("0.250 (")
    assert row(text, "sensitivity, pro")[1].startswith("1.000 (")
    assert "Means over classes" in text


def test_without_patients_a_card_says_so(tmp_path):
    unknown = {**LEAKS, "patient": None, "subject": None}
    folder = write(tmp_path, FIRST.assign(subject=pd.NA), leaks=unknown)
    result_cards.write(tmp_path, draws=50)
    text = (folder / "CARD.md").read_text()
    assert "Intervals are over 4 original images" in text
    assert "Patients are not known: the intervals take all originals for independent" in text


def test_a_run_that_cannot_be_used_gets_no_card_and_loses_an_old_one(two_folds):
    folder = two_folds.joinpath(*PLACE) / "fold-0"
    result_cards.write(two_folds, draws=10)
    (folder.with_name("fold-1") / "fold.json").unlink()
    written = result_cards.write(two_folds, draws=10)
    assert written["card"].isna().all()
    assert written["skipped"][0].startswith("/".join(PLACE))
    assert "missing: fold-1" in written["skipped"][0]
    assert not (folder / "CARD.md").exists() and (folder / "model.keras").exists()


def test_a_run_that_cannot_be_used_does_not_stop_the_others(two_folds):
    other = ("mishra", "sample", "leak-free", "all-2021_vgg16-cnn")
    folder = write(two_folds, FIRST.assign(prob_ALL=0.5), place=other)
    written = result_cards.write(two_folds, draws=10).set_index("model")
    assert "do not sum to 1" in written.loc[f"{'/'.join(other)}/fold-0/model.keras", "skipped"]
    assert written["card"].notna().sum() == 1 and not (folder / "CARD.md").exists()


def test_the_same_results_give_the_same_bytes_and_no_other_file(two_folds):
    result_cards.write(two_folds)
    folder = two_folds.joinpath(*PLACE) / "fold-0"
    first, names = (folder / "CARD.md").read_bytes(), sorted(folder.iterdir())
    result_cards.write(two_folds)
    assert (folder / "CARD.md").read_bytes() == first
    assert sorted(folder.iterdir()) == names
    assert results.is_done(folder, json.loads((folder / "fold.json").read_text())["configuration"])


def test_a_classifier_is_loaded_as_its_card_says(tmp_path, monkeypatch):
    place = ("farag2025", "sample", "leak-free", "cnmc-2019_densenet201_svm_augmented")
    run = {"dataset": "cnmc-2019", "backbone": "densenet201", "classifier": "svm"}
    settings = {"recipe": {}, "backbone": "mobilenet-0.25", "c": [1, 10]}
    folder = write(tmp_path, FIRST, place=place, model=None, run=run, **settings)
    features, labels = np.eye(4, dtype=np.float32), np.array(["ALL", "healthy"] * 2, dtype=object)
    fitted = classifiers.fit_random_forest(features, labels, seed=0)
    classifier_files.save(fitted, folder / "model.skops")
    result_cards.write(tmp_path, draws=10)
    text = (folder / "CARD.md").read_text()
    assert text.startswith("# MobileNet 0.25 with SVM, farag2025") and "- **c:** 1; 10" in text
    (block,) = [block for block in text.split("```") if "import" in block]
    monkeypatch.chdir(folder)
    names = {}
    exec(block, names)
    assert names["classifier"].predict(features).tolist() == fitted.predict(features).tolist()


def test_a_run_of_ones_own_has_a_card_too(tmp_path):
    place = ("mine", "sample", "leak-free", "mobilenetv2")
    recipe = {**RECIPE, "network": "mobilenetv2"}
    folder = write(tmp_path, FIRST, place=place, run={"model": "mobilenetv2"}, recipe=recipe)
    result_cards.write(tmp_path, draws=10)
    text = (folder / "CARD.md").read_text()
    assert text.startswith("# MobileNetV2, mine, leak-free, fold 0\n")
    assert "\n- **images:** sample-cells; drawn by the kit" in text and "in place of" not in text


def test_nothing_kept_nothing_written(tmp_path):
    assert len(result_cards.write(tmp_path)) == 0


# ---------------------------------------------------------------- data cards


@pytest.mark.parametrize("name", datasets.NAMES)
def test_every_data_set_has_a_card_whose_facts_have_a_source(name):
    facts, text = data_cards.read_facts(name), data_cards.data_card(name)
    assert {trap["source"] for trap in facts["traps"]} <= set(data_cards.SOURCES)
    assert facts["made_source"] in data_cards.SOURCES
    assert data_cards.NOT_AT_HAND in text and "not for clinical use" in text
    if name in FACTS:
        assert FACTS[name]["license"] in text and FACTS[name]["url"] in text
        for count in FACTS[name]["counts"]:
            assert f" {count.get('images', count.get('patients')):,} |" in text


def test_the_card_of_the_sample_counts_what_is_there():
    cells = datasets.load("sample-cells")
    text = data_cards.data_card("sample-cells", cells)
    counts = cells["patient"].value_counts()
    for line in (
        "- **images:** 449",
        "- **of the class ALL:** 276",
        "- **patients:** 24",
        "- **subjects:** 21",
        f"- **images per patient:** median {np.median(counts):g}, largest {counts.max()} (P15)",
        "- **duplicates:** 8",
        "- **findings:** duplicate 8, subject-merge 2",
    ):
        assert line in text
    for trap in ("P02 = P05 = P09", "P15 = P20"):  # what the card says beforehand is what is found
        assert trap in text and trap.replace(" = ", "+") in set(cells["subject"])


def test_a_sample_of_two_phases_has_other_subjects_in_the_second():
    cells = datasets.load("sample-phases")
    people = cells.groupby("split")["subject"].unique()
    assert not set(people["training"]) & set(people["preliminary"])
    assert len(people["preliminary"]) == 10 and "ten other" in data_cards.data_card("sample-phases")


def test_without_patients_the_card_says_that_they_are_not_known():
    cells = datasets.load("sample-idb")
    attrs = {**cells.attrs}
    cells[["patient", "subject"]] = pd.NA
    cells.attrs = attrs
    text = data_cards.data_card("sample-idb", cells)
    assert "- **patients:** not known" in text and "- **subjects:** not known" in text
    assert "images per patient" not in text
    cells["subject"] = pd.array(["proxy:a-1"] * 100 + ["proxy:a-2"] * 12, dtype="string")
    text = data_cards.data_card("sample-idb", cells)
    assert "- **block proxies:** 2" in text and "- **patients:** not known" in text
    assert "images per block proxy:** median 56, largest 100 (proxy:a-1)" in text


def test_cells_of_another_data_set_are_refused():
    with pytest.raises(ValueError, match="is of sample-idb, but the cells are of sample-cells"):
        data_cards.data_card("sample-idb", datasets.load("sample-cells"))


def test_an_image_name_that_is_markup_is_shown_as_it_is():
    cells = datasets.load("sample-cells")
    attrs = {**cells.attrs}
    again = cells["sha256"].duplicated()
    cells.loc[again.idxmax(), "image_id"] = NASTY
    cells.attrs = attrs
    page = mistune.html(data_cards.data_card("sample-cells", cells))
    assert "<img" not in page and "<a href=" not in page
    assert mistune.escape(NASTY, quote=False) in page.replace("&quot;", '"')


@pytest.mark.parametrize("name", [NASTY, "`", "``a`b", "a\nb | c", "<script>", "&lt;", "_a_b_"])
def test_markup_in_a_name_stays_text(name):
    shown = mistune.escape(" ".join(name.split()), quote=False)
    page = mistune.create_markdown(plugins=["table"])
    row = page(markdown.table(pd.DataFrame({"name": [name], "more": ["1"]})))
    assert f"<td>{shown}</td>" in row.replace("&quot;", '"') and row.count("<td>") == 2
    assert f"<code>{shown}</code>" in page(f"- {markdown.code(name)}").replace("&quot;", '"')
    assert page(markdown.escape(name)).strip().replace("&quot;", '"') == f"<p>{shown}</p>"


def test_the_command_prints_a_card_and_says_when_images_are_not_at_hand(monkeypatch, capsys):
    monkeypatch.delenv("LEUKKIT_DATA_DIR", raising=False)
    assert cli.main(["data", "card", "cnmc-2019"]) == 0
    printed = capsys.readouterr()
    assert printed.out == data_cards.data_card("cnmc-2019")
    assert "leukkit data fetch cnmc-2019" in printed.err


def test_the_command_writes_a_file(tmp_path, capsys):
    target = tmp_path / "new" / "card.md"
    assert cli.main(["data", "card", "sample-cells", "--output", str(target)]) == 0
    assert "- **images:** 449" in target.read_text()
    assert capsys.readouterr().out == ""


def test_the_command_refuses_a_folder_that_is_not_there_and_an_unknown_name(tmp_path, capsys):
    assert cli.main(["data", "card", "cnmc-2019", "--root", str(tmp_path / "none")]) == 1
    assert "no such folder" in capsys.readouterr().err
    assert cli.main(["data", "card", "cnmc-2020"]) == 1
    assert "sample-cells" in capsys.readouterr().err


@pytest.mark.skipif(
    not os.environ.get("LEUKKIT_TEST_DATA"),
    reason="set LEUKKIT_TEST_DATA to a folder with cnmc-2019-subset/ to test on real cells",
)
def test_the_traps_of_cnmc_are_found_in_real_cells():
    root = pathlib.Path(os.environ["LEUKKIT_TEST_DATA"]) / "cnmc-2019-subset"
    cells = datasets.load("cnmc-2019", root=root)
    text = data_cards.data_card("cnmc-2019", cells)
    assert "- **duplicates:** 104" in text and "104 pairs" in text
    detail = " ".join(datasets.check(cells)["detail"])
    trap = data_cards.read_facts("cnmc-2019")["traps"][0]["says"]
    for link in ("20 = 21 (71", "51 = 78 (11", "51 = 75 (10", "H2 = H4 (3", "H2 = H6 (1"):
        assert link in detail and link in trap
    for subject in ("20+21", "51+75+78", "H2+H4+H5+H6", "H3+H10"):
        assert subject in set(cells["subject"]) and subject in trap
