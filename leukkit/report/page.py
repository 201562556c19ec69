"""``report/index.html``: one page with everything, from the results folder and the cards alone.

The same results give the same bytes: no date of the build, no random number, no path of a machine.
"""

import pathlib
from typing import Any

import jinja2
import pandas as pd

import leukkit
from leukkit import audit, files, papers, plots
from leukkit.benchmark import gap, leaderboard
from leukkit.files import replace_when_done
from leukkit.papers import Card
from leukkit.plots import colors
from leukkit.report import facts, figures, notebooks, overview, tables
from leukkit.report.tables import said
from leukkit.results import ResultsError

COMPARISON = "comparison.csv"  # the frame of `overview.cells`
LISTING = "files.txt"  # what the last build wrote: the next one removes what it no longer writes
NOTEBOOK = "07_honest_benchmark"
SECTIONS = {
    "honest": {
        "title": "Honest benchmark",
        "about": "One protocol for the methods of all five papers: whole subjects on one side of "
        "the split, the same images, the same scores.",
        "command": "leukkit reproduce runs notebook 07, which makes it",
    },
    "gap": {
        "title": "The gap, leak by leak",
        "about": "The same features and classifier under one split after another: what each leak "
        "is worth in a score.",
        "command": "leukkit gap makes it, as notebook 07 does",
    },
}


def build(
    base: pathlib.Path | str | None = None,
    report_dir: pathlib.Path | str = "report",
    draws: int = 2000,
) -> pathlib.Path:
    """Write the page, the comparison as CSV, the figures, and the executed notebooks' pages.

    Args:
        base: Folder of the results; None for `files.results_dir`. Only read.
        report_dir: Folder of the report. Files of an earlier build that this one does not write
            are removed; other files stay.
        draws: Bootstrap draws of the intervals.

    Returns:
        Path of ``index.html``.

    Raises:
        OSError: A folder cannot be read or written to.
    """
    base, report_dir = pathlib.Path(base or files.results_dir()).resolve(), pathlib.Path(report_dir)
    pages = notebooks.write_pages(base, report_dir)
    cells = overview.cells(base, draws)
    with replace_when_done(report_dir / COMPARISON) as path:
        cells.to_csv(path, index=False, float_format="%.6g")
    content = gather(cells, base, report_dir / "figures", pages, draws)
    written = [COMPARISON, *(page["file"] for page in pages)]
    written += [it["file"] for part in content["papers"] for it in part["figures"]]
    written += [it["file"] for part in content["sections"] for it in part["figures"]]
    index = report_dir / "index.html"
    with replace_when_done(index) as path:
        path.write_text(render(content), encoding="utf-8")
    _remove_stale(report_dir, sorted(set(written)))
    return index


def gather(
    cells: pd.DataFrame,
    base: pathlib.Path,
    figures_dir: pathlib.Path,
    pages: list[dict[str, Any]],
    draws: int = 2000,
) -> dict[str, Any]:
    """Return everything that the page shows, and draw its figures.

    Args:
        cells: The frame of `overview.cells`.
        base: Folder of the results.
        figures_dir: Where the figures go.
        pages: What `notebooks.write_pages` gives.
        draws: Bootstrap draws of the intervals.

    Returns:
        The variables of ``templates/page.html``.
    """
    known, claims = facts.runs(base), audit.run()
    names = {key: name_of(papers.load(key)) for key in papers.KEYS}
    run_ids = {folder: f"run-{number}" for number, folder in enumerate(known["folder"], start=1)}
    own = overview.own(known, base, draws)
    profiles = [name for name in cells["profile"].unique() if name]
    return {
        "version": leukkit.__version__,
        "csv": COMPARISON,
        "colors": {name: colors.COLORS[name] for name in ("published", *tables.COLUMNS, "ALL")},
        "other_profiles": [name for name in profiles if name not in ("sample", "paper")],
        "total": overview.counts(cells).iloc[-1],
        "real": overview.counts(cells[cells["profile"] != "sample"]).iloc[-1],
        "has_sample": "sample" in profiles,
        "counts": tables.counts(cells, names),
        "setting": _setting(known),
        "notebooks": pages,
        "comparison": tables.comparison(cells, run_ids, names),
        "papers": [
            _paper(
                papers.load(key),
                cells[cells["paper"] == key],
                known[known["paper"] == key],
                claims[claims["paper"] == key],
                [page for page in pages if key in page["papers"]],
                base,
                figures_dir,
            )
            for key in papers.KEYS
        ],
        "sections": [_section(key, base, figures_dir, known, pages, draws) for key in SECTIONS],
        "own": tables.own(own, run_ids, names) if len(own) else None,
        "runs": tables.runs(known, run_ids, names),
        "unusable": int(known["problem"].notna().sum()),
    }


def render(content: dict[str, Any]) -> str:
    """Return the page as text; everything in ``content`` is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("leukkit.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(content)


def name_of(card: Card) -> str:
    """Return a paper's name as it is cited, e.g. ``Patel et al. 2025``."""
    name = f"{card.paper.authors[0].split()[-1]} et al."
    return f"{name} {card.paper.year}" if card.paper.year else name


def _paper(
    card: Card,
    cells: pd.DataFrame,
    known: pd.DataFrame,
    claims: pd.DataFrame,
    pages: list[dict[str, Any]],
    base: pathlib.Path,
    figures_dir: pathlib.Path,
) -> dict[str, Any]:
    """Return what the page shows of one paper."""
    about, name = card.paper, name_of(card)
    return {
        "key": card.key,
        "name": name,
        "title": about.title,
        "authors": ", ".join(about.authors),
        "published": ", ".join(str(part) for part in (about.journal, about.year) if part),
        "summary": card.summary,
        "charts": [
            {"title": f"Accuracies, profile {said(profile)}", **chart}
            for profile, rows in cells.groupby("profile", sort=False)
            if (chart := figures.accuracies(rows))
        ],
        "figures": figures.of_paper(cells, base, figures_dir),
        "leakage": tables.leakage(known, name),
        "verdicts": figures.verdicts(claims),
        "claims": tables.claims(claims, card.key, name),
        "notebooks": pages,
    }


def _section(
    key: str,
    base: pathlib.Path,
    figures_dir: pathlib.Path,
    known: pd.DataFrame,
    pages: list[dict[str, Any]],
    draws: int,
) -> dict[str, Any]:
    """Return what the page shows of the honest benchmark, or of the gap."""
    here = known[known["paper"] == key]
    section: dict[str, Any] = {
        "key": key,
        **SECTIONS[key],
        "tables": [],
        "figures": [],
        "problems": [],
        "runs": len(here),
        "notebooks": [page for page in pages if page["stem"] == NOTEBOOK],
    }
    for profile in sorted(here["profile"].unique()):
        try:
            show = _honest if key == "honest" else _gap
            shown, drawn = show(profile, base, figures_dir, draws)
        except ResultsError as error:  # said on the page; the other profiles stay
            problem = facts.relative_text(error, base)
            section["problems"].append(f"{profile}: {problem}")
            continue
        section["tables"] += shown
        section["figures"] += drawn
    return section


def _honest(profile: str, base: pathlib.Path, figures_dir: pathlib.Path, draws: int) -> tuple:
    measured = leaderboard.measure(profile, base, draws)
    # Other people's results are on real images: beside synthetic ones they would mislead.
    references = None if profile == "sample" else leaderboard.references()
    shown, drawn = [], []
    for split in measured["split"].dropna().unique():
        name = f"Leaderboard, split {split}, profile {said(profile)}"
        shown.append(tables.of_frame(leaderboard.leaderboard(measured, split), name))
        axes = plots.leaderboard(measured, split, references=references)
        path = figures_dir / f"honest-{profile}-{split}.svg"
        drawn.append(figures.write(axes, path, *_words("Weighted F1", name)))
    return shown, drawn


def _gap(profile: str, base: pathlib.Path, figures_dir: pathlib.Path, draws: int) -> tuple:
    measured = gap.measure(profile, base, draws)
    name = f"AUC step by step, profile {said(profile)}"
    axes = plots.gap_ladder(measured, title="")
    path = figures_dir / f"gap-{profile}.svg"
    drawn = figures.write(axes, path, *_words("What each leak is worth", name))
    return [tables.of_frame(gap.steps(measured), name, kind="wide")], [drawn]


def _words(what: str, name: str) -> tuple[str, str]:
    """Return the description and the caption of a figure that goes with the table ``name``."""
    return f"{what}; the numbers are in the table: {name}.", f"{what} ({name})"


def _setting(known: pd.DataFrame) -> dict[str, str]:
    """Say when, where and with what the runs were made; {} for no run."""
    usable = known[known["problem"].isna()]
    if usable.empty:
        return {}
    first, last = usable["finished"].min(), usable["finished"].max()
    texts = {
        name.capitalize(): "; ".join(sorted(usable[name].dropna().unique()))
        for name in ("commit", "hardware", "versions")
    }
    return {
        "Finished": first if first == last else f"{first} to {last}",
        **texts,
        "Commit": texts["Commit"] or "not run from a checkout",
        "Time": f"{usable['minutes'].sum():.1f} minutes for {len(usable)} runs",
    }


def _remove_stale(report_dir: pathlib.Path, written: list[str]) -> None:
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
