"""REFORMS and TRIPOD+AI: every answer rests on a field, and goes with it."""

import fnmatch
import functools

import pandas as pd
import pytest

from leukkit import audit, cli, papers
from leukkit.records import SavedRecord
from leukkit.report import checklists, facts
from tests.report.small_results import (
    EVIL_IMAGE,
    FIRST,
    LEAKS,
    MACHINE,
    SVM,
    make,
    many,
    planned,
    write,
)

# Kapoor et al. 2024, Table 1; Collins et al. 2024: item -> its parts.
REFORMS = {"1": "abc", "2": "abcde", "3": "abcdefg", "4": "abc", "5": "abcdef", "6": "abc"} | {
    "7": "abc",
    "8": "ab",
}
TRIPOD = {str(number): "" for number in range(1, 28)} | {
    "3": "abc",
    "5": "ab",
    "6": "abc",
    "8": "abc",
    "9": "abc",
    "12": "abcdefg",
    "18": "abcdef",
    "20": "abc",
    "23": "ab",
    "27": "abc",
}
SELECTED = {"C": 10.0, "gamma": 0.01}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Return the fields of three runs: a network, an SVM on C-NMC 2019, and one with copies."""
    base = tmp_path_factory.mktemp("results")
    leaks = {**LEAKS, "original": 0.0}
    vgg = planned("patel2025", "leak-free", "vgg19")
    svm = planned("farag2025", "leak-free", SVM, "cnmc-subset")
    copies = planned("samhitha", "leak-free", "resnet50")
    folders = {
        "network": write(base, vgg, many(0), selected={"epoch": 2}),
        "svm": write(base, svm, many(0), selected=SELECTED),
        "copies": write(base, copies, many(0), leaks=leaks, selected={"epoch": 9}),
    }
    found = {name: checklists.of_run(folder.parent) for name, folder in folders.items()}
    saved = {"model": "model.keras", "sha256": "0f" * 32, "threshold": 12.5}
    assert set(saved) <= set(SavedRecord.model_fields)
    found["network"] |= {("predictor.json", name): value for name, value in saved.items()}
    return found


def items(kind="run"):
    found = [item for checklist in checklists.read()["checklists"] for item in checklist["items"]]
    return [item for item in found if kind in item]


def finds(entry, field):
    return any(fnmatch.fnmatchcase(field[1], pattern) for pattern in entry.split(" | "))


def rows(filled, checklist="REFORMS"):
    return filled[filled["checklist"] == checklist].set_index("number")


def everything(runs):
    """Return (kind, fields) of all that is filled in here."""
    cards = [("paper", checklists.of_paper(papers.load(key))) for key in papers.KEYS]
    return [*cards, *(("run", fields) for fields in runs.values())]


@pytest.mark.parametrize(("name", "numbers"), [("REFORMS", REFORMS), ("TRIPOD+AI", TRIPOD)])
def test_the_items_are_those_of_the_published_checklist(name, numbers):
    (checklist,) = [one for one in checklists.read()["checklists"] if one["name"] == name]
    published = [number + part for number, parts in numbers.items() for part in parts or [""]]
    assert [item["number"] for item in checklist["items"]] == published
    assert len(published) == {"REFORMS": 32, "TRIPOD+AI": 52}[name]
    assert len({item["asks"] for item in checklist["items"]}) == len(published)
    known = {"number", "asks", "run", "run_without", "paper", "paper_without"}
    assert set().union(*checklist["items"]) == known


def test_each_field_alone_changes_the_answers_that_rest_on_it_and_no_other(runs):
    answered = set()
    for kind, fields in everything(runs):
        before = checklists.fill(kind, fields).set_index("asks")
        known = before.index[before["status"] != "not known"]
        answered |= {(kind, asks) for asks in known}
        entries = {item["asks"]: " | ".join(item[kind]) for item in items(kind)}
        for field in fields:
            rest = {name: it for name, it in fields.items() if name != field}
            after = checklists.fill(kind, rest).set_index("asks")
            changed = before.index[before["answer"] != after["answer"]]
            assert [*changed] == [asks for asks in known if finds(entries[asks], field)], field
    assert answered == {(kind, item["asks"]) for kind in ("run", "paper") for item in items(kind)}


def test_each_pattern_finds_a_field_of_some_run_or_paper(runs):
    known = {"run": set(), "paper": set()}
    for kind, fields in everything(runs):
        known[kind] |= {field for _, field in fields}
    of_others = {"configuration.table.by", "configuration.recipe.class_weight"}  # of other runs
    for kind, names in known.items():
        entries = [entry for item in items(kind) for entry in item[kind]]
        patterns = {pattern for entry in entries for pattern in entry.split(" | ")}
        assert {one for one in patterns if not fnmatch.filter(names, one)} <= of_others


def test_a_run_is_answered_in_words(runs):
    answers = rows(checklists.fill("run", runs["network"]))
    assert answers.loc["2c", "answer"] == (
        f"hardware: {MACHINE}; python: 3.12.1; tensorflow: 2.21.0; 30.0 seconds for this fold. "
        "Left open: the operating system."
    )
    assert answers.loc["2c", "rests_on"] == "fold.json: seconds, hardware, versions.*"
    assert "split by subject; 3 folds" in answers.loc["5c", "answer"]
    assert "0.0% of the test images are of subjects in training" in answers.loc["6b", "answer"]
    assert "{" not in "".join(answers["answer"])


def test_a_published_data_set_is_cited_with_its_license(runs):
    filled = checklists.fill("run", runs["svm"])
    assert "The Cancer Imaging Archive" in rows(filled).loc["3a", "answer"]
    assert rows(filled, "TRIPOD+AI").loc["18e", "answer"] == (
        "url: https://doi.org/10.7937/tcia.2019.dc64i46r; license: CC BY 3.0"
    )
    assert "C: 10; gamma: 0.01" in rows(filled).loc["5e", "answer"]


def test_what_a_paper_states_is_quoted_with_its_section():
    answers = rows(checklists.fill("paper", checklists.of_paper(papers.load("mishra"))))
    assert (
        answers.loc["5c", "answer"] == "split: trained and validated (with 80% and 20%) (Abstract)"
    )
    assert answers.loc["5c", "rests_on"] == "mishra.toml: protocol.split"
    assert answers.loc["2c", "status"] == "not known"  # no hardware is stated


def test_nothing_is_made_up_where_nothing_is_recorded(runs):
    for kind, fields in everything(runs):
        tripod = rows(checklists.fill(kind, fields), "TRIPOD+AI")
        for number in ("17", "18a", "18b", "18c", "18d", "19"):  # ethics, funding, registration …
            assert tripod.loc[number, "answer"] == "not known"
        assert (checklists.fill(kind, {})["status"] == "not known").all()


def test_empty_and_unknown_fields_answer_nothing(tmp_path):
    leaks = dict.fromkeys(LEAKS)
    folder = write(
        tmp_path, planned("patel2025", "leak-free", "vgg19"), FIRST, commit="", leaks=leaks
    )
    answers = rows(checklists.fill("run", checklists.of_run(folder.parent)))
    assert answers.loc[["2b", "6a", "6b"], "status"].tolist() == ["not known"] * 3


def test_the_command_writes_them_and_a_report_without_them_removes_them(tmp_path, monkeypatch):
    monkeypatch.setattr(audit, "run", functools.cache(audit.run))  # the page is built twice
    base, report = make(tmp_path / "results"), tmp_path / "report"
    places = [f"--results-dir={base}", f"--report-dir={report}"]
    assert cli.main(["report", "--checklists", *places]) == 0
    names = ["checklists.html", "checklists.md", "checklists.csv"]
    page = (report / "index.html").read_text()
    assert all((report / name).is_file() and f'href="{name}"' in page for name in names)
    frame = pd.read_csv(report / "checklists.csv", keep_default_na=False)
    assert frame["of"].nunique() == 5 + 4  # papers, and a run of each paper, profile and split
    assert (frame.groupby("of").size() == 32 + 52).all()
    assert "Run patel2025/sample/leak-free/vgg19 (leak-free)" in set(frame["of"])
    assert cli.main(["report", *places]) == 0
    assert not any((report / name).exists() for name in names)
    assert "checklists" not in (report / "index.html").read_text()


def test_a_name_that_is_markup_stays_text_and_a_broken_model_is_named(tmp_path):
    run = planned("patel2025", "leak-free", "vgg19")
    write(tmp_path, run, many(0), hardware=EVIL_IMAGE)
    broken = write(tmp_path, planned("patel2025", "published", "vgg19"), many(0))
    (broken / "predictor.json").write_text("{}")
    names = checklists.write(facts.runs(tmp_path), tmp_path, tmp_path)
    page = (tmp_path / names[0]).read_text()
    assert "<img" not in page and "&lt;img src=x" in page
    (line,) = [one for one in (tmp_path / names[1]).read_text().splitlines() if "Not filled" in one]
    assert "patel2025/sample/published/vgg19" in line and "predictor" in line
