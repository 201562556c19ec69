"""Cards of models and data sets: the numbers in them, and names that look like markup."""

import os
import pathlib

import mistune
import numpy as np
import pandas as pd
import pytest

from leukkit import classifiers, cli, datasets, metrics, papers
from leukkit.datasets.published import FACTS
from leukkit.report import cards
from leukkit.saved import classifier_files
from tests.report.small_results import FIRST, FOUR, LEAKS, SECOND, SVM, planned, predictions, seal
from tests.report.small_results import write as write_fold

NASTY = "<img src=x onerror=alert(1)>|`*_[a](b)_*`"
RUN = planned("patel2025", "leak-free", "vgg19")
PLACE = "patel2025/sample/leak-free/vgg19/fold-0"


def write(base, tested, run=RUN, model="model.keras", **facts):
    """Write a finished fold with a saved model (its bytes do not matter to a card)."""
    facts = {"parameters": 12345, "epochs": 3, "selected": {"epoch": 2}, "seconds": 90.0, **facts}
    folder = write_fold(base, run, tested, **facts)
    if model:
        (folder / model).write_bytes(b"weights")
    return folder


def card(folder):
    """Write the cards of the results that a fold is part of, and return that of the fold."""
    cards.write_model_cards(folder.parents[4])
    return (folder / "CARD.md").read_text()


def row(text, name):
    """Return the cells of the table row that begins with a name."""
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {name} |")]
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


@pytest.fixture
def two_folds(tmp_path):
    write(tmp_path, FIRST, fold=0, folds=2)
    write(tmp_path, SECOND, fold=1, folds=2, model=None)
    return tmp_path


def test_a_card_stands_beside_each_saved_model_with_the_scores_of_run_and_fold(two_folds):
    written = cards.write_model_cards(two_folds)
    assert written["model"].tolist() == [f"{PLACE}/model.keras"]
    assert written["card"].tolist() == [f"{PLACE}/CARD.md"]
    assert written["skipped"].isna().all()
    text = (two_folds / written["card"][0]).read_text()
    both = pd.concat([FIRST.assign(fold=0), SECOND.assign(fold=1)])
    low, high = metrics.jackknife(both).loc["accuracy", ["low", "high"]]
    # all folds: 8 of 10 right; this one: 3 of 4
    assert row(text, "accuracy") == [f"0.800 ({low:.3f} to {high:.3f})", "0.750"]
    assert row(text, "precision")[0].startswith("0.750") and row(text, "precision")[1] == "1.000"
    assert "10 test images in 2 folds" in text and "4 by this one" in text
    assert "positive class is ALL" in text and "over 5 subjects" in text


def test_a_card_says_what_it_was_trained_on_and_how(two_folds):
    text = card(two_folds / PLACE)
    assert text.startswith("# VGG-19, patel2025, leak-free, fold 0\n")
    assert papers.load("patel2025").paper.title in text
    for line in (
        "- **model:** VGG-19",
        "- **images:** sample-cells, in place of C-NMC 2019; synthetic, no patient was involved",
        "- **images for training, augmented copies included:** 40",
        "- **images for test:** 4",
        "- **chosen:** epoch 2",
        "- **parameters:** 12,345",
        "- **minutes:** 1.5",
        "- **versions:** Python 3.12.1, TensorFlow 2.21.0",
        f"- **fold:** `{PLACE}`, of 2",
    ):
        assert f"\n{line}\n" in text
    assert row(text, "phases") == ["11 epochs at 0.003, all layers; 3 epochs at 0.0003, all layers"]
    assert row(text, "split") == ["subject"] and row(text, "weights") == ["ImageNet"]
    assert "rotation 15" in row(text, "augmentation, new in every epoch")[0]
    assert row(text, "using the software MATLAB 2024a")[1] == "Keras on TensorFlow"
    assert "models.load(" in text and "Not for clinical use" in text


def test_a_card_names_the_network_that_was_trained_not_the_one_it_stands_for(tmp_path):
    recipe = RUN.recipe.replace(network="mobilenet-0.25", head="pooled")
    text = card(write(tmp_path, FIRST, RUN.model_copy(update={"recipe": recipe})))
    assert text.startswith("# MobileNet 0.25, patel2025, leak-free, fold 0\n")
    assert "- **model:** MobileNet 0.25, in place of VGG-19\n" in text


def test_limits_are_those_of_the_run(two_folds):
    text = card(two_folds / PLACE)
    assert "synthetic images" in text and "None of the leaks that could be looked for" in text
    assert "Not known, and so not excluded, in training and test at once: own copy." in text
    assert row(text, "subject") == ["0.0%", "0.0%"]
    assert row(text, "own copy") == ["not known", "not known"]


def test_a_leaking_run_on_real_images_says_so(tmp_path):
    run = planned("patel2025", "published", "vgg19", data="cnmc-2019")
    same = {"images": {"train": "a", "validation": "c", "test": "c"}}
    text = card(write(tmp_path, FIRST, run, leaks={**LEAKS, "subject": 0.5}, changes=same))
    assert "**The test leaks:** 50.0% of the test images are of subjects" in text
    assert "validation images are the test images" in text
    assert "synthetic" not in text and "Tested on cnmc-2019 alone" in text
    assert "fold 0 alone" not in text  # there is one fold: it is the run


def test_of_more_than_two_classes_the_sensitivity_of_each_is_shown(tmp_path):
    outcomes = [(name, name) for name in FOUR] + [("early", "pre")] * 3
    text = card(write(tmp_path, predictions(outcomes, FOUR)))
    assert row(text, "sensitivity, early")[0].startswith("0.250 (")
    assert row(text, "sensitivity, pro")[0].startswith("1.000 (")
    assert "Means over classes" in text


def test_without_patients_a_card_says_so(tmp_path):
    leaks = {**LEAKS, "patient": None, "subject": None}
    text = card(write(tmp_path, FIRST.assign(subject=pd.NA), leaks=leaks))
    assert "Intervals are over 4 original images" in text
    assert "Patients are not known: the intervals take all originals for independent" in text


def test_a_run_that_cannot_be_used_gets_no_card_and_does_not_stop_the_others(two_folds):
    other = write(two_folds, FIRST, planned("mishra", "leak-free", "vgg16-cnn"))
    card(two_folds / PLACE)
    (two_folds / PLACE).with_name("fold-1").joinpath("fold.json").unlink()
    wrong = other / "predictions.csv"
    wrong.write_text(wrong.read_text().replace("0.9", "0.5"))
    seal(other)
    third = write(two_folds, FIRST, planned("sultana", "published", "vgg19_full-training"))
    written = cards.write_model_cards(two_folds).set_index("model")
    assert written["card"].notna().tolist() == [False, False, True]
    assert "do not sum to 1" in written["skipped"].iloc[0]
    assert "missing: fold-1" in written["skipped"].iloc[1]
    assert not written["skipped"].iloc[1].startswith("/")
    assert not (two_folds / PLACE / "CARD.md").exists()  # the older one spoke of other results
    assert (third / "CARD.md").exists()


def test_the_same_results_give_the_same_bytes_and_no_other_file(two_folds):
    assert cards.write_model_cards(two_folds / "patel2025").empty  # no results: no card
    first, names = card(two_folds / PLACE), sorted((two_folds / PLACE).iterdir())
    assert card(two_folds / PLACE) == first
    assert sorted((two_folds / PLACE).iterdir()) == names


def test_a_classifier_is_loaded_as_its_card_says(tmp_path, monkeypatch):
    folder = write(tmp_path, FIRST, planned("farag2025", "leak-free", SVM), model=None)
    features, labels = np.eye(4, dtype=np.float32), np.array(["ALL", "healthy"] * 2, dtype=object)
    fitted = classifiers.fit_random_forest(features, labels, seed=0)
    classifier_files.save(fitted, folder / "model.npz")
    text = card(folder)
    assert text.startswith("# DenseNet-201 with SVM, farag2025")
    assert row(text, "c") == ["0.1, 1, 10, 100, 1000"]
    (block,) = [block for block in text.split("```") if "import" in block]
    monkeypatch.chdir(folder)
    names = {}
    exec(block, names)
    found = names["classifier"].predict_proba(features)
    np.testing.assert_allclose(found, fitted.predict_proba(features))


def test_a_run_of_ones_own_has_a_card_too(tmp_path):
    own = {"paper": "own", "profile": "own", "keys": {}, "name": "mine"}
    text = card(write(tmp_path, FIRST, RUN.model_copy(update=own)))
    assert text.startswith("# VGG-19, own, leak-free, fold 0\n")
    assert "in place of" not in text and "- **after:**" not in text


# ---------------------------------------------------------------- data cards


@pytest.mark.parametrize("name", datasets.NAMES)
def test_every_data_set_has_a_card_whose_facts_have_a_source(name):
    facts, text = cards.read_facts(name), cards.data_card(name)
    assert {trap["source"] for trap in facts["traps"]} <= set(cards.SOURCES)
    assert "nothing was counted" in text and "not for clinical use" in text
    if name in FACTS:
        assert FACTS[name]["license"] in text and FACTS[name]["url"] in text
        for count in FACTS[name]["counts"]:
            assert f" {count.get('images', count.get('patients')):,} |" in text


def test_the_card_of_the_sample_counts_what_is_there():
    cells = datasets.load("sample-cells")
    text = cards.data_card("sample-cells", cells)
    counts = cells["patient"].value_counts()
    for name, found in {
        "images": "449",
        "of the class ALL": "276",
        "patients": "24",
        "subjects": "21",
        "images per patient": f"median {counts.median():g}, largest {counts.max()} (P15)",
        "duplicates": "8",
        "findings": "duplicate 8, subject-merge 2",
    }.items():
        assert f"\n- **{name}:** {found}\n" in text
    for trap in ("P02 = P05 = P09", "P15 = P20"):  # what the card says beforehand is what is found
        assert trap in text and trap.replace(" = ", "+") in set(cells["subject"])
    assert str(cells.attrs["root"]) not in text


def test_without_patients_the_card_says_that_they_are_not_known():
    cells = datasets.load("sample-idb")
    attrs = {**cells.attrs}
    cells[["patient", "subject"]] = pd.NA
    cells.attrs = attrs
    text = cards.data_card("sample-idb", cells)
    assert "- **patients:** not known" in text and "- **subjects:** not known" in text
    assert "images per patient" not in text
    cells["subject"] = pd.array(["proxy:a-1"] * 100 + ["proxy:a-2"] * 12, dtype="string")
    text = cards.data_card("sample-idb", cells)
    assert "- **block proxies:** 2" in text and "- **patients:** not known" in text
    assert "images per block proxy:** median 56, largest 100 (proxy:a-1)" in text


def test_cells_of_another_data_set_are_refused():
    with pytest.raises(ValueError, match="is of sample-idb, but the cells are of sample-cells"):
        cards.data_card("sample-idb", datasets.load("sample-cells"))


@pytest.mark.parametrize("name", [NASTY, "`", "``a`b", "a\nb | c", "<script>", "&lt;", "_a_b_"])
def test_markup_in_a_name_stays_text(name):
    shown = mistune.escape(" ".join(name.split()), quote=False)
    page = mistune.create_markdown(plugins=["table"])
    row = page(cards.table(pd.DataFrame({"name": [name], "more": ["1"]})))
    assert f"<td>{shown}</td>" in row.replace("&quot;", '"') and row.count("<td>") == 2
    assert f"<code>{shown}</code>" in page(f"- {cards.code(name)}").replace("&quot;", '"')
    assert page(cards.escape(name)).strip().replace("&quot;", '"') == f"<p>{shown}</p>"


def test_names_of_images_and_runs_that_are_markup_are_shown_as_they_are(tmp_path):
    cells = datasets.load("sample-cells")
    attrs = {**cells.attrs}
    cells.loc[cells["sha256"].duplicated().idxmax(), "image_id"] = NASTY
    cells.attrs = attrs
    page = mistune.html(cards.data_card("sample-cells", cells))
    assert "<img" not in page and "<a href=" not in page
    assert mistune.escape(NASTY, quote=False) in page.replace("&quot;", '"')
    text = card(write(tmp_path, FIRST, RUN.model_copy(update={"data": NASTY, "name": "_a_b_"})))
    page = mistune.create_markdown(plugins=["table"])(text)
    assert "<img" not in page and "<a href=" not in page and "_a_b_/fold-0</code>" in page


def test_the_command_prints_a_card_or_writes_it(monkeypatch, capsys, tmp_path):
    monkeypatch.delenv("LEUKKIT_DATA_DIR", raising=False)
    assert cli.main(["data", "card", "cnmc-2019"]) == 0
    printed = capsys.readouterr()
    assert printed.out == cards.data_card("cnmc-2019")
    assert "leukkit data fetch cnmc-2019" in printed.err  # images are not at hand
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
    text = cards.data_card("cnmc-2019", cells)
    assert "- **duplicates:** 104" in text and "104 pairs" in text
    detail = " ".join(datasets.check(cells)["detail"])
    trap = cards.read_facts("cnmc-2019")["traps"][0]["says"]
    for link in ("20 = 21 (71", "51 = 78 (11", "51 = 75 (10", "H2 = H4 (3", "H2 = H6 (1"):
        assert link in detail and link in trap
    for subject in ("20+21", "51+75+78", "H2+H4+H5+H6+H7", "H3+H10"):
        assert subject in set(cells["subject"]) and subject in trap


def test_the_card_tells_of_cells_cut_out_twice_and_shows_those_at_hand(tmp_path, capsys):
    figure, target = tmp_path / "pictures" / "pairs.png", tmp_path / "card.md"
    call = ["data", "card", "cnmc-2019", "-o", str(target), "--figure", str(figure)]
    assert cli.main(call) == 1 and "leave --figure out" in capsys.readouterr().err
    if "LEUKKIT_TEST_DATA" not in os.environ:
        pytest.skip("needs real images: set LEUKKIT_TEST_DATA to their folder")
    root = pathlib.Path(os.environ["LEUKKIT_TEST_DATA"]) / "cnmc-2019-subset"
    assert cli.main([*call, "--root", str(root)]) == 0
    text = target.read_text()
    assert "| H2 = H7 | 11 | 0 to 8 | 0.95 to 1.00 |" in text and "](pictures/pairs.png)" in text
    assert figure.stat().st_size > 10_000
    assert "cut out twice" not in cards.data_card("all-idb2")
