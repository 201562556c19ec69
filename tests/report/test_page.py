import functools
import html
import html.parser
import itertools
import re
import urllib.parse

import nbformat
import numpy as np
import pandas as pd
import pytest

from leukkit import audit, cli, metrics, papers, plots
from leukkit.report import facts, figures, notebooks, overview, page, tables
from tests.report import small_results

WIDGET = "application/vnd.jupyter.widget-view+json"


@pytest.fixture(scope="module", autouse=True)
def audited_once():
    """Audit the papers once, not for each page."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(audit, "run", functools.cache(audit.run))
        yield


@pytest.fixture(scope="module")
def results_dir(tmp_path_factory):
    folder = small_results.make(tmp_path_factory.mktemp("results"))
    shown = ({"application/javascript": "1"}, {WIDGET: {"model_id": "a"}})
    outputs = [nbformat.v4.new_output("display_data", one) for one in shown]
    title = nbformat.v4.new_markdown_cell("# 01 · One <b>bold</b> title")
    cells = [title, nbformat.v4.new_code_cell("show()", outputs=outputs)]
    metadata = {"leukkit": {"papers": ["patel2025"]}}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=metadata)
    for profile in ("sample", "cnmc-subset"):
        path = notebooks.kept_path(folder, profile, "01_try.ipynb")
        path.parent.mkdir(parents=True)
        nbformat.write(notebook, path)
    return folder


@pytest.fixture(scope="module")
def report_dir(results_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    page.build(results_dir, folder)
    return folder


@pytest.fixture(scope="module")
def text(report_dir):
    return (report_dir / "index.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def cells(results_dir):
    return overview.cells(facts.runs(results_dir), results_dir)


@pytest.fixture(scope="module")
def tags(text):
    """The tags of the page with their attributes."""
    found, parser = [], html.parser.HTMLParser()
    parser.handle_starttag = lambda tag, attributes: found.append((tag, dict(attributes)))
    parser.feed(text)
    return found


def built(folder, run=None, tested=small_results.FIRST):
    """Return the text of a page of one run, or of no results at all."""
    if run is not None:
        small_results.write(folder / "results", run, tested)
    return page.build(folder / "results", folder / "report").read_text()


def files(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_same_results_give_the_same_bytes(results_dir, report_dir, tmp_path):
    page.build(results_dir, tmp_path / "elsewhere")
    assert files(tmp_path / "elsewhere") == files(report_dir)


def test_files_that_are_no_longer_written_go_and_others_stay(tmp_path):
    results, report = tmp_path / "results", tmp_path / "report"
    kept = notebooks.kept_path(results, "sample", "09_old.ipynb")
    kept.parent.mkdir(parents=True)
    nbformat.write(nbformat.v4.new_notebook(), kept)
    page.build(results, report)
    assert (report / "09_old.html").exists()
    for name in ("report/mine.txt", "outside.txt"):
        (tmp_path / name).write_text("stays")
    with (report / page.LISTING).open("a") as listing:
        listing.write("../outside.txt\n")  # a list that was tampered with
    kept.unlink()
    page.build(results, report)
    assert not (report / "09_old.html").exists()
    assert (report / "mine.txt").exists() and (tmp_path / "outside.txt").exists()


def test_html_in_names_is_escaped(text, tags):
    assert "&lt;script&gt;document.title=" in text
    assert "&lt;img src=x onerror=" in text
    assert "One &lt;b&gt;bold&lt;/b&gt; title" in text
    assert [tag for tag, _ in tags].count("script") == 2  # the page's own
    assert not [1 for _, attributes in tags if "onerror" in attributes]


def test_a_notebook_whose_name_is_a_script_is_linked_as_a_file(tmp_path):
    kept = notebooks.kept_path(tmp_path / "results", "sample", "javascript:alert(1).ipynb")
    kept.parent.mkdir(parents=True)
    nbformat.write(nbformat.v4.new_notebook(), kept)
    page.build(tmp_path / "results", tmp_path / "report")
    text = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "javascript%3Aalert%281%29.html" in text
    assert not re.search(r"""(href|src)=["']javascript:""", text)


def test_html_in_a_card_and_in_a_claim_is_escaped(monkeypatch, tmp_path):
    evil = "<img src=x onerror=alert(1)>"
    claims = pd.DataFrame([[key, *[evil] * 6] for key in papers.KEYS], columns=audit.COLUMNS)
    monkeypatch.setattr(audit, "run", lambda: claims.assign(verdict="inconsistent"))
    cards = {key: papers.load(key).model_copy(update={"summary": evil}) for key in papers.KEYS}
    monkeypatch.setattr(papers, "load", cards.__getitem__)
    text = built(tmp_path)
    assert text.count("&lt;img src=x") > 5 and not re.search("<img src=x", text)


def test_every_printed_score_has_a_row_and_the_count_says_how_many_were_run(text, tags, cells):
    total = len(cells.drop_duplicates(["paper", "table", "row", "column"]))
    rows = [attributes for _, attributes in tags if "data-status" in attributes]
    assert len(rows) == total == 661
    ran = sum("reproduced" in row["data-status"].split("|") for row in rows)
    assert f"<strong>{ran}</strong> of <strong>{total}</strong> printed cells" in text
    assert re.search(r"Without the built-in sample: <strong>13</strong>", text)
    assert "synthetic images, no statement about the method" in text


def test_the_comparison_as_csv_has_every_cell_with_all_that_is_known_of_its_run(
    report_dir, results_dir, cells
):
    written = pd.read_csv(report_dir / page.COMPARISON, dtype={"printed": "string"})
    assert len(written) == len(cells)
    for name in ("printed", "reproduced status"):
        assert written[name].tolist() == cells[name].tolist()
    np.testing.assert_allclose(written["kept apart low"], cells["kept apart low"], rtol=1e-5)
    ran = written[written["reproduced status"] == "run"].merge(
        facts.runs(results_dir), left_on="reproduced folder", right_on="folder"
    )
    assert len(ran) == (cells["reproduced status"] == "run").sum() > 0
    for name in ("versions", "hardware", "commit", "finished"):
        assert ran[f"reproduced {name}"].tolist() == ran[name].tolist()


def test_runs_of_ones_own_have_a_section_and_unusable_runs_their_reason(text):
    own = text[text.index('id="own"') : text.index('id="runs"')]
    assert "vgg19~0123abcd" in own and "image size: 96 (planned: 112)" in own
    assert "1 of 6 runs cannot be used" in text
    assert "has a probability outside 0..1" in text


def test_what_each_paper_states_and_is_done_otherwise_is_shown(text):
    assert "using the software MATLAB 2024a" in text
    assert "979 were tested after rotation" in text and "the test images are scored as they" in text
    for key in papers.KEYS:
        steps = len(papers.load(key).deviations)
        section = text.partition(f'id="{key}-deviations"')[2].partition("</details>")[0]
        assert f"{steps} steps that the paper states" in section
        assert section.count("<tr>") == steps + 1


def test_papers_without_results_have_their_audit_and_say_what_to_run(text):
    assert f"All {len(audit.run('mishra'))} claims" in text
    assert "leukkit reproduce mishra" in text


def test_inconsistent_claims_are_shown_by_what_they_rest_on(text):
    audited = text[text.index('id="sultana-audit"') : text.index('id="sultana-claims"')]
    concluded = audit.conclusions(audit.run("sultana"))
    assert f"{len(concluded)} conclusions" in audited
    assert audited.count("<details>") == len(concluded) + 1  # and all claims
    start = audited.index("<summary>5: 979 images in test (13 inconsistent)</summary>")
    rows = audited[start : audited.index("</details>", start)]
    assert rows.count("979 images</td>") == rows.count("<tr data-verdict") == 13


def test_where_no_patient_is_known_the_page_says_so(text):
    assert text.count("leak-free on these images") == 3  # ALL 2021 twice, ALL-IDB2


def test_nothing_is_called_leak_free_where_no_subjects_are_kept_apart(tmp_path, monkeypatch):
    unknown = {**small_results.LEAKS, "subject": None, "source_image": None}
    stages = [(name, name) for name in small_results.FOUR for _ in range(8)]
    blocks = small_results.predictions([*stages, ("pro", "pre")], small_results.FOUR)
    blocks["subject"] = "proxy:" + blocks["subject"]
    runs = [("mishra", "vgg16-cnn", blocks, small_results.LEAKS)]
    runs += [("farag2025", small_results.IDB, small_results.many(0), unknown)]
    for paper, run, tested, leaks in runs:
        planned = small_results.planned(paper, "leak-free", run, "paper")
        small_results.write(tmp_path / "results", planned, tested, leaks=leaks)
    legends, draw = [], plots.bars

    def bars(frame, ax):
        legends.append([text.get_text() for text in draw(frame, ax=ax).get_legend().get_texts()])
        return ax

    monkeypatch.setattr(plots, "bars", bars)
    text = built(tmp_path)
    names = ["by block", "by image"]
    assert legends == [["published", *names], *(["published", name] for name in names)]
    assert "reproduced, 0 leak-free, 16 by block, 11 by image</p>" in text
    assert 'data-key="kept apart"' in text
    assert [len(re.findall(f"[>,]( ?){name}</span>", text)) for name in names] == [16, 11]
    assert "paper-all-2021-roc-by-block.svg" in text
    assert not re.search("(>|, |roc-)leak-free[,.<]", text.replace("<em>leak-free</em>", ""))


def test_links_lead_to_anchors_of_the_page_or_to_files(tags, report_dir):
    ids = {attributes["id"] for _, attributes in tags if "id" in attributes}
    links = {attributes["href"] for tag, attributes in tags if tag == "a"}
    links |= {attributes["src"] for tag, attributes in tags if tag == "img"}
    pages = {"01_try.html", "01_try-cnmc-subset.html"}
    assert {link for link in links if link.endswith("html")} == pages
    for link in links:
        if link.startswith("#"):
            assert "=" in link or urllib.parse.unquote(link[1:]) in ids
        else:
            assert (report_dir / link).is_file()


def test_ids_are_unique_headings_in_order_and_tables_have_captions(tags):
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    levels = [int(tag[1]) for tag, _ in tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    names = [tag for tag, _ in tags]
    assert names.count("caption") == names.count("table") > 5
    assert all(attributes.get("alt") for tag, attributes in tags if tag == "img")


def test_no_address_of_the_network_is_loaded(text, tags):
    for tag, attributes in tags:
        for name in ("src", "href", "data", "xlink:href"):
            assert not attributes.get(name, "").startswith(("http", "//")), (tag, attributes)
    assert "@import" not in text and "url(" not in text


def test_a_results_folder_that_does_not_exist_still_gives_the_printed_cells(tmp_path):
    text = built(tmp_path)
    assert "<strong>0</strong> of <strong>661" in text
    assert "Nothing was run yet" in text and 'id="own"' not in text


def test_report_command_writes_the_page_and_names_models_without_a_card(tmp_path, capsys):
    results, report = tmp_path / "results", tmp_path / "report"
    run = small_results.planned("patel2025", "published", "vgg19")
    folder = small_results.write(results, run, small_results.FIRST)
    for kept in (folder, folder.parent.parent / "other" / "fold-0"):
        kept.mkdir(parents=True, exist_ok=True)
        (kept / "model.keras").write_bytes(b"weights")
    arguments = ["report", "--results-dir", str(results), "--report-dir", str(report)]
    assert cli.main(arguments) == 0
    printed = capsys.readouterr()
    assert f"{report}/index.html" in printed.out and (folder / "CARD.md").is_file()
    assert "no card for patel2025/sample/published/other/fold-0/model.keras" in printed.err


def test_the_second_published_protocol_is_shown_where_the_first_was_not_run(tmp_path):
    text = built(tmp_path, small_results.planned("patel2025", "published-split", "googlenet"))
    link = '<small><a href="#patel2025/sample/published-split/googlenet">70/15/15 split: '
    assert text.count(link) == 5
    assert '<td class="number">0 <small>70/15/15 split: 5</small></td>' in text


def test_a_gap_that_was_not_finished_says_what_is_missing(tmp_path):
    run = small_results.planned("patel2025", "published", "vgg19")
    table = {**run.table, "name": "plain-by-image"}
    run = run.model_copy(update={"paper": "gap", "name": "repeat-0", "table": table})
    text = built(tmp_path, run)
    assert "gap/sample has no run of copies-before-by-image" in text
    assert str(tmp_path) not in text


def test_a_transfer_between_sets_is_shown_once_each_set_was_tested_by_each(tmp_path):
    plan = small_results.planned("patel2025", "published", "vgg19")
    sections = []
    for one, other in ("AA", "AB", "BB", "BA"):
        said = {"images of": "original", "trained on": one, "tested on": other}
        keys = {"paper": "patel2025", "variant": ""} | said
        table = {**plan.table, "name": f"{one}-to-{other}"}
        changes = {"paper": "transfer", "profile": "A-B", "keys": keys, "table": table}
        run, tested = plan.model_copy(update=changes), small_results.many(one != other)
        small_results.write(tmp_path / "results", run, tested)
        if one == "B":
            sections.append(built(tmp_path).partition('id="transfer"')[2].partition("<section")[0])
    missing = "transfer/A-B has no run of patel2025, vgg19 + vgg_dense, original, B to A"
    assert missing in sections[0] and missing not in sections[1]
    assert "transfer-A-B-auc.svg" in sections[1] and "<table" not in sections[0]
    tested = [metrics.jackknife(small_results.many(seed)).loc["auc"] for seed in (0, 1)]
    of_a = [metrics.with_interval(it["point"], it["low"], it["high"], 2) for it in tested]
    assert f"<td>A</td><td>{of_a[0]}</td><td>{of_a[1]}</td>" in sections[1]


@pytest.mark.parametrize(
    ("paper", "run", "tested", "alone"),
    [
        ("patel2025", "vgg19", small_results.FIRST, "of 'ALL' and others"),
        ("mishra", "vgg16-cnn", small_results.ONE_OF_FOUR, "of 'benign' and others"),
    ],
)
def test_where_one_class_was_tested_alone_a_sentence_stands_in_place_of_the_roc_curves(
    tmp_path, paper, run, tested, alone
):
    tested = tested[tested["label"] == tested["label"].iloc[0]]
    text = built(tmp_path, small_results.planned(paper, "published", run), tested)
    assert f"a ROC curve needs images {alone}; here is only one kind." in html.unescape(text)
    assert f"{paper}-sample-" in text and "-matrices.svg" in text and "-roc" not in text


def test_accuracies_are_drawn_in_percent(cells, tmp_path, monkeypatch):
    frames, draw = [], plots.bars
    monkeypatch.setattr(plots, "bars", lambda frame, ax: frames.append(frame) or draw(frame, ax=ax))
    (drawn,) = figures.accuracies(cells[cells["paper"] == "patel2025"], tmp_path)
    assert (tmp_path / "patel2025-sample-accuracies.svg").is_file() and "sample" in drawn["alt"]
    (frame,) = frames
    assert frame.loc["VGG-19, test (Table 3)", "published"] == 98.87
    assert (frame["reproduced low"] < frame["reproduced"]).all()
    fractions = cells.assign(unit="fraction")
    figures.accuracies(fractions[cells["paper"] == "patel2025"], tmp_path)
    numbers = frame.select_dtypes("number").columns
    assert frames[1][numbers].equals(100 * frame[numbers])
    assert figures.accuracies(cells[cells["paper"] == "mishra"], tmp_path) == []


def test_runs_that_leak_alike_are_one_line(results_dir):
    known = facts.runs(results_dir)
    table = tables.leakage(known[known["paper"] == "patel2025"], "Patel")
    rows = [[cell.text for cell in row.cells.values()] for row in table.rows]
    assert ["sample", "reproduced", "vgg19", "100.0%", "100.0%", "0.0%", "no copies"] in rows
    assert ["sample", "leak-free", "vgg19, vgg19~0123abcd", "0.0%"] in [row[:4] for row in rows]
    shares = [cell.share for cell in table.rows[0].cells.values()]
    assert shares[3:] == [0, 0, 0, None]


def test_fractions_are_sorted_beside_percent(cells):
    table = tables.comparison(cells)
    keys = {row.cells["Printed"].text: row.cells["Printed"].sort for row in table.rows}
    assert (keys["0.9932"], keys["98.87 %"]) == ("99.32", "98.87")


def test_shares_of_a_matrix_say_of_how_many_images_they_are(tmp_path):
    outcomes = [("early", "early")] * 3 + [("early", "benign"), ("pro", "pro")]
    run = small_results.planned("sultana", "published", "dex_ensemble")
    small_results.write(tmp_path, run, small_results.predictions(outcomes, small_results.FOUR))
    table = tables.comparison(overview.cells(facts.runs(tmp_path), tmp_path))
    cells = [row.cells for row in table.rows if row.cells["Table"].text == "Figure 6"]
    (cell,) = [cell for cell in cells if cell["Printed"].text == "30 of 305"]
    assert cell["Quantity"].text == "taken for benign"
    assert (
        cell["Reproduced"].text == "25.0" and "4 images, 2 subjects" in cell["Reproduced"].notes[0]
    )
