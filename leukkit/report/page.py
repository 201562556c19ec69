"""``report/index.html``: one page with everything, from the results folder and the cards alone.

The same results give the same bytes: no date of the build, no random number, no path of a machine.
"""

import pathlib

import jinja2
import pandas as pd

import leukkit
from leukkit import audit, files, papers, report
from leukkit.files import replace_when_done
from leukkit.plots import colors
from leukkit.report import charts, figures, notebooks, overview, page_rows, page_sections

COMPARISON = "comparison.csv"  # the frame of `overview.cells`
# Further readings of a published protocol: shown beside the first, without a column of their own.
OTHERS = [side for side in overview.SIDES.values() if side not in report.SIDES.values()]
LISTING = "files.txt"  # what the last build wrote: the next one removes what it no longer writes


def build(results_dir=None, report_dir="report", draws=2000):
    """Write the page, the comparison as CSV, the figures, and the executed notebooks' pages.

    Args:
        results_dir: Folder of the results; None for `files.results_dir`. Only read.
        report_dir: Folder of the report. Files of an earlier build that this one does not write
            are removed; other files stay.
        draws: Bootstrap draws of the intervals.

    Returns:
        Path of ``index.html``.

    Raises:
        OSError: A folder cannot be read or written to.
    """
    results_dir = pathlib.Path(results_dir or files.results_dir())
    report_dir = pathlib.Path(report_dir)
    pages = notebooks.write_pages(results_dir, report_dir)
    cells = overview.cells(results_dir, draws)
    with replace_when_done(report_dir / COMPARISON) as path:
        cells.to_csv(path, index=False, float_format="%.6g")
    content = gather(cells, results_dir, report_dir / "figures", pages, draws)
    written = [COMPARISON, *(page["file"] for page in pages)]
    written += [
        it["file"] for part in content["papers"] + content["sections"] for it in part["figures"]
    ]
    index = report_dir / "index.html"
    with replace_when_done(index) as path:
        path.write_text(render(content), encoding="utf-8")
    _remove_stale(report_dir, sorted(set(written)))
    return index


def gather(cells, results_dir, figures_dir, pages, draws=2000):
    """Return everything that the page shows, and draw its figures.

    Args:
        cells: The frame of `overview.cells`.
        results_dir: Folder of the results.
        figures_dir: Where the figures go.
        pages: What `notebooks.write_pages` gives.
        draws: Bootstrap draws of the intervals.

    Returns:
        Dict of plain texts, numbers, lists and dicts: the variables of ``templates/page.html``.
    """
    made = overview.runs(results_dir)
    claims = audit.run()
    cards = {key: papers.load(key) for key in papers.KEYS}
    names = {key: name_of(card) for key, card in cards.items()}
    sides = list(report.SIDES.values())
    runs = page_rows.runs(made, names)
    run_ids = {run["run"]: run["id"] for run in runs}
    profiles = list(dict.fromkeys(cells["profile"]))
    return {
        "version": leukkit.__version__,
        "comparison": COMPARISON,
        "colors": {name: colors.COLORS[name] for name in ("published", *sides, "ALL")},
        "other_profiles": [name for name in profiles if name not in ("", "sample", "paper")],
        "counts": _counts(cells, names),
        "setting": page_rows.setting(made),
        "profiles": profiles,
        "notebooks": pages,
        "rows": page_rows.comparison(cells, run_ids, names, sides, OTHERS),
        "papers": [
            _paper(
                card,
                names[key],
                cells[cells["paper"] == key],
                made[made["paper"] == key],
                claims[claims["paper"] == key],
                [page for page in pages if key in page["papers"]],
                results_dir,
                figures_dir,
            )
            for key, card in cards.items()
        ],
        "sections": page_sections.sections(results_dir, figures_dir, made, pages, draws),
        "runs": runs,
        "unusable": sum(bool(run["problem"]) for run in runs),
    }


def render(content):
    """Return the page as text; everything in ``content`` is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("leukkit.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(content)


def name_of(card):
    """Return a paper's name as it is cited, e.g. ``Patel et al. 2025``."""
    surname = card.paper["authors"][0].split()[-1]
    return " ".join(
        [f"{surname} et al.", *map(str, [card.paper["year"]] if "year" in card.paper else [])]
    )


def _paper(card, name, cells, runs, claims, pages, results_dir, figures_dir):
    """Return what the page shows of one paper."""
    by_profile = [
        {"title": f"Accuracies, profile {page_rows.said(profile)}", **chart}
        for profile, rows in cells.groupby("profile", sort=False)
        if (chart := charts.accuracies(rows))
    ]
    drawn = figures.of_paper(cells, results_dir, figures_dir)
    return {
        "key": card.key,
        "name": name,
        "title": card.paper["title"],
        "authors": ", ".join(card.paper["authors"]),
        "published": ", ".join(
            str(card.paper[field]) for field in ("journal", "year") if field in card.paper
        ),
        "summary": card.summary,
        "charts": by_profile,
        "figures": [it | {"file": f"{figures_dir.name}/{it['file']}"} for it in drawn],
        "leakage": page_rows.leakage(runs),
        "audit": {"counts": charts.verdicts(claims), "rows": claims.to_dict("records")},
        "notebooks": pages,
    }


def _counts(cells, names):
    rows = overview.counts(cells).to_dict("records")
    for row in rows:
        row["name"] = names.get(row["paper"], "")
        row["others"] = [
            {"name": side, "count": row[side]}
            for side in OTHERS
            if row["name"] and pd.notna(row[side])
        ]
    real = overview.counts(cells[cells["profile"] != "sample"]).to_dict("records")[-1]
    return {
        "total": rows[-1],
        "real": real,
        "drawn": (cells["profile"] == "sample").any(),
        "rows": rows,
    }


def _remove_stale(report_dir, written):
    """Remove what an earlier build wrote and this one did not, and list what this one wrote."""
    listing = report_dir / LISTING
    before = listing.read_text(encoding="utf-8").splitlines() if listing.exists() else []
    here = report_dir.resolve()
    for name in set(before) - set(written):
        path = (here / name).resolve()
        if path.is_relative_to(here):  # whatever somebody wrote into the list
            path.unlink(missing_ok=True)
    with replace_when_done(listing) as path:
        path.write_text("".join(f"{name}\n" for name in written), encoding="utf-8")
