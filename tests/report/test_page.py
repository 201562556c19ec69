import html.parser
import itertools
import re

import nbformat
import numpy as np
import pandas as pd
import pytest

from leukkit import audit, cli, papers
from leukkit.report import charts, notebooks, overview, page, page_rows
from tests.report import small_results

WIDGET = "application/vnd.jupyter.widget-view+json"


@pytest.fixture(scope="module")
def results_dir(tmp_path_factory):
    folder = small_results.make(tmp_path_factory.mktemp("results"))
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_markdown_cell("# 01 · One <b>bold</b> title"),
            nbformat.v4.new_code_cell(
                "show()",
                outputs=[
                    nbformat.v4.new_output("display_data", {"application/javascript": "1"}),
                    nbformat.v4.new_output("display_data", {WIDGET: {"model_id": "a"}}),
                ],
            ),
        ],
        metadata={"leukkit": {"papers": ["patel2025"]}},
    )
    for profile in ("sample", "cnmc-subset"):
        notebooks.keep(notebook, notebooks.kept_path(folder, profile, "01_try.ipynb"))
    return folder


@pytest.fixture(scope="module")
def report_dir(results_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    page.build(results_dir, folder, draws=50)
    return folder


@pytest.fixture(scope="module")
def text(report_dir):
    return (report_dir / "index.html").read_text(encoding="utf-8")


class Tags(html.parser.HTMLParser):
    """Collects the tags of a page with their attributes."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


def files(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_same_results_give_the_same_bytes(results_dir, report_dir, tmp_path):
    page.build(results_dir, tmp_path / "elsewhere", draws=50)
    assert files(tmp_path / "elsewhere") == files(report_dir)


def test_files_that_are_no_longer_written_go_and_other_files_stay(results_dir, tmp_path):
    results_copy, report = tmp_path / "results", tmp_path / "report"
    small_results.make(results_copy)
    notebooks.keep(nbformat.v4.new_notebook(), results_copy / "notebooks/sample/09_old.ipynb")
    page.build(results_copy, report, draws=10)
    (report / "mine.txt").write_text("stays")
    assert (report / "09_old.html").exists()
    (results_copy / "notebooks/sample/09_old.ipynb").unlink()
    page.build(results_copy, report, draws=10)
    assert not (report / "09_old.html").exists()
    assert (report / "mine.txt").exists()


def test_a_list_of_files_that_was_tampered_with_removes_nothing_outside(results_dir, tmp_path):
    outside, report = tmp_path / "outside.txt", tmp_path / "report"
    outside.write_text("stays")
    report.mkdir()
    (report / page.LISTING).write_text("../outside.txt\n")
    page._remove_stale(report, [])
    assert outside.exists()


def test_html_in_the_name_of_an_image_and_of_a_run_is_escaped(text):
    assert "&lt;script&gt;document.title=" in text
    assert "&lt;img src=x onerror=" in text
    tags = Tags(text).found
    assert [tag for tag, _ in tags].count("script") == 2  # the page's own
    assert not [1 for _, attributes in tags if "onerror" in attributes]


def test_html_of_a_card_is_escaped():
    rows = [
        {"verdict": "consistent", "where": "<b>", "claim": "", "recomputed": "", "evidence": ""}
    ]
    rendered = page.render(
        {
            "comparison": page.COMPARISON,
            "version": "1",
            "colors": {},
            "other_profiles": [],
            "counts": {
                "total": {"reproduced": 0, "printed": 1, "leak-free": 0},
                "drawn": False,
                "rows": [],
            },
            "setting": {},
            "profiles": [""],
            "notebooks": [],
            "rows": [],
            "papers": [
                {
                    **dict.fromkeys(("key", "name", "title", "authors", "published"), "<i>x</i>"),
                    "summary": "<img src=x onerror=alert(1)>",
                    **{name: [] for name in ("charts", "figures", "leakage", "notebooks")},
                    "audit": {"counts": [], "rows": rows},
                }
            ],
            "sections": [],
            "runs": [],
            "unusable": 0,
        }
    )
    names = {tag for tag, _ in Tags(rendered).found}
    assert not names & {"i", "b", "img"}


def test_every_printed_score_has_a_row_and_the_count_says_how_many_were_run(text):
    total = sum(
        len(cells[cells["quantity"].isin(overview.SCORES)])
        for cells in (papers.load(key).cells() for key in papers.KEYS)
    )
    rows = [attributes for tag, attributes in Tags(text).found if "data-status" in attributes]
    assert len(rows) == total
    ran = sum("reproduced" in row["data-status"].split() for row in rows)
    assert f"<strong>{ran}</strong> of <strong>{total}</strong> printed cells" in text


def test_the_comparison_as_csv_has_every_cell_with_all_that_is_known_of_its_run(
    report_dir, results_dir
):
    written = pd.read_csv(report_dir / page.COMPARISON, dtype={"printed": "string"})
    cells, made = overview.cells(results_dir, draws=50), overview.runs(results_dir)
    assert len(written) == len(cells)
    for name in ("printed", "reproduced status"):
        assert written[name].tolist() == cells[name].tolist()
    np.testing.assert_allclose(written["leak-free low"], cells["leak-free low"], rtol=1e-5)
    ran = written[written["reproduced status"] == "run"].merge(
        made, left_on="reproduced run", right_on="run", suffixes=("", " of the run")
    )
    assert len(ran) == (cells["reproduced status"] == "run").sum() > 0
    for name in ("versions", "hardware", "commit", "finished"):
        assert ran[f"reproduced {name}"].notna().any()
        assert ran[f"reproduced {name}"].fillna("").tolist() == ran[name].fillna("").tolist()


def test_the_sample_is_called_drawn_and_is_not_counted_as_real(text):
    assert re.search(r"Without the built-in sample: <strong>12</strong>", text)
    assert "drawn images, no statement about the method" in text


def test_unusable_runs_are_shown_with_their_reason(text):
    assert "1 of 5 runs cannot be used" in text
    assert "has a probability outside 0..1" in text


def test_papers_without_results_have_their_audit_and_say_what_to_run(text):
    claims = audit.run("mishra")
    assert f"All {len(claims)} claims" in text
    assert "leukkit reproduce mishra" in text


def test_links_lead_to_anchors_of_the_page_or_to_files(text, report_dir):
    tags = Tags(text).found
    ids = {attributes["id"] for _, attributes in tags if "id" in attributes}
    links = {attributes["href"] for tag, attributes in tags if tag == "a"}
    links |= {attributes["src"] for tag, attributes in tags if tag == "img"}
    assert {link for link in links if link.endswith("html")} == {
        "01_try.html",
        "01_try-cnmc-subset.html",
    }
    for link in links:
        if link.startswith("#"):
            assert "=" in link or link[1:] in ids
        else:
            assert (report_dir / link).is_file()


def test_ids_are_unique_headings_in_order_and_tables_have_captions(text):
    tags = Tags(text).found
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    levels = [int(tag[1]) for tag, _ in tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    names = [tag for tag, _ in tags]
    assert names.count("caption") == names.count("table") > 5
    assert all(attributes.get("alt") for tag, attributes in tags if tag == "img")


def test_no_address_of_the_network_is_loaded(text):
    for tag, attributes in Tags(text).found:
        for name in ("src", "href", "data", "xlink:href"):
            assert not attributes.get(name, "").startswith(("http", "//")), (tag, attributes)
    assert "@import" not in text and "url(" not in text


def test_a_results_folder_that_does_not_exist_still_gives_the_printed_cells(tmp_path):
    index = page.build(tmp_path / "none", tmp_path / "report", draws=10)
    text = index.read_text()
    assert "<strong>0</strong> of <strong>" in text
    assert "Nothing was run yet" in text


def test_report_command_writes_the_page_from_the_results(results_dir, tmp_path, capsys):
    report = tmp_path / "report"
    arguments = ["report", "--results-dir", str(results_dir), "--report-dir", str(report)]
    assert cli.main(arguments) == 0
    assert (report / "index.html").is_file()
    assert f"{report}/index.html" in capsys.readouterr().out


def test_the_second_published_protocol_is_shown_where_the_first_was_not_run(tmp_path):
    keys = {"dataset": "cnmc-2019", "model": "googlenet", "variant": ""}
    place = ("patel2025", "sample", "published-split", "cnmc-2019_googlenet")
    small_results.write(tmp_path / "results", *place, 0, keys, 1.0, folds=1)
    cells = overview.cells(tmp_path / "results", draws=10)
    ran = (cells["70/15/15 split status"] == "run").sum()
    text = page.build(tmp_path / "results", tmp_path / "report", draws=10).read_text()
    assert ran == text.count("<small>70/15/15 split: <a href=") == 5
    assert f'<td class="number">0 <small>70/15/15 split: {ran}</small></td>' in text


def test_a_gap_that_was_not_finished_says_what_is_missing(tmp_path):
    run = {"dataset": "sample-cells", "repeat": 0}
    place = (tmp_path / "results", "gap", "sample", "plain-by-image", "repeat-0", 0)
    small_results.write(*place, run, 1.0, folds=1)
    text = page.build(tmp_path / "results", tmp_path / "report", draws=10).read_text()
    assert "gap/sample has no run of copies-before-by-image" in text
    assert str(tmp_path) not in text


def test_a_chart_places_points_in_percent_of_its_axis(results_dir):
    cells = overview.cells(results_dir, draws=50)
    cells = cells[(cells["paper"] == "patel2025") & (cells["what"] == "VGG-19, test")]
    chart = charts.accuracies(cells)
    ticks = [float(tick["text"]) for tick in chart["ticks"]]
    left, right = ticks[0], ticks[-1]
    assert right == 100
    printed, reproduced, _ = chart["rows"][0]["marks"]
    value = cells.iloc[0]
    assert float(printed["place"]) == pytest.approx(
        100 * (value["value"] - left) / (right - left), abs=0.01
    )
    assert float(reproduced["low"]) < float(reproduced["place"]) < float(reproduced["high"])


def test_verdict_bars_fill_the_width():
    bars = charts.verdicts(audit.run("farag2025"))
    assert sum(float(bar["width"]) for bar in bars) == pytest.approx(100, abs=0.02)


def test_runs_that_leak_alike_are_one_line(results_dir):
    runs = overview.runs(results_dir)
    lines = page_rows.leakage(runs[runs["paper"] == "patel2025"])
    assert [(line["protocol"], line["subject"], line["original"]) for line in lines] == [
        ("leak-free", 0.0, None),
        ("published", 1.0, None),
    ]


def test_a_fraction_is_sorted_beside_percent():
    assert page_rows._sort_key(0.991, "fraction") == "99.1"
    assert page_rows._sort_key(98.75, "percent") == "98.75"
    assert page_rows._sort_key(float("nan"), "percent") == ""
