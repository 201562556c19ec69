"""``report/index.html``: one page with everything, from the results folder and the cards alone.

The same results give the same bytes: no date of the build, no random number, no path of a machine.
"""

import pathlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import pandas as pd

import leukkit
from leukkit import audit, papers, plots
from leukkit.audit import VERDICTS
from leukkit.benchmark import gap, leaderboard, transfer
from leukkit.files import replace_when_done
from leukkit.plots import colors
from leukkit.report import cards, checklists, facts, figures, notebooks, overview, tables
from leukkit.report.tables import said
from leukkit.results import ResultsError

COMPARISON = "comparison.csv"  # the frame of `overview.cells`
LISTING = "files.txt"  # what the last build wrote: the next one removes what it no longer writes
SECTIONS = {
    "honest": {
        "title": "Honest benchmark",
        "about": "One protocol for the methods of all five papers: whole subjects on one side of "
        "the split, the same images, the same scores.",
        "command": "leukkit reproduce runs notebook 07, which makes it",
        "notebook": "07_honest_benchmark",
    },
    "gap": {
        "title": "The gap, leak by leak",
        "about": "The same features and classifier under one split after another: what each leak "
        "is worth in a score.",
        "command": "leukkit gap makes it, as notebook 07 does",
        "notebook": "07_honest_benchmark",
    },
    "transfer": {
        "title": "Transfer, from set to set",
        "about": "Each method trained on each data set (rows) and tested on each (columns): on "
        "itself, divided as it allows, and on the others, without what they share. A score that "
        "stays with the mean color alone was reached by color.",
        "command": "leukkit transfer A B makes it, of any two data sets",
    },
}


def build(
    base: pathlib.Path | str, report_dir: pathlib.Path | str, with_checklists: bool = False
) -> pathlib.Path:
    """Write the page, the comparison as CSV, the figures, and the executed notebooks' pages.

    Args:
        base: Folder of the results. Only read.
        report_dir: Files of an earlier build that this one does not write are removed from it.
        with_checklists: Whether to write checklists too, see `leukkit.report.checklists`.

    Returns:
        Path of ``index.html``.

    Raises:
        OSError: A folder cannot be read or written to.
    """
    base, report_dir = pathlib.Path(base).resolve(), pathlib.Path(report_dir)
    pages, known = notebooks.write_pages(base, report_dir), facts.runs(base)
    cells = overview.cells(known, base)
    with replace_when_done(report_dir / COMPARISON) as path:
        cells.to_csv(path, index=False, float_format="%.6g")
    content = _Sources(base, report_dir / "figures", pages, known).gather(cells)
    filled = checklists.write(known, base, report_dir) if with_checklists else []
    index = report_dir / "index.html"
    with replace_when_done(index) as path:
        text = cards.environment().get_template("page.html").render(content, checklists=filled)
        path.write_text(text, encoding="utf-8")
    parts = content["papers"] + content["sections"]
    drawn = content["headlines"] + [it for part in parts for it in part["figures"]]
    written = {it["file"] for it in [*drawn, *pages] if it["file"]}
    _remove_stale(report_dir, {COMPARISON, *written, *filled})
    return index


class _Sources(NamedTuple):
    """What the page is made from: ``known`` is of `facts.runs`, ``pages`` of `write_pages`."""

    base: pathlib.Path
    figures_dir: pathlib.Path
    pages: list[dict[str, Any]]
    known: pd.DataFrame

    def gather(self, cells: pd.DataFrame) -> dict[str, Any]:
        """Return the variables of ``templates/page.html``, and draw the figures."""
        claims, own = audit.run(), overview.own(self.known, self.base)
        counted = overview.counts(cells)
        profiles = [name for name in cells["profile"].unique() if name]
        return {
            "version": leukkit.__version__,
            "csv": COMPARISON,
            "colors": colors.COLORS,
            "other_profiles": [name for name in profiles if name not in ("sample", "paper")],
            "total": counted.iloc[-1],
            "real": overview.counts(cells[cells["profile"] != "sample"]).iloc[-1],
            "kept_apart": overview.kept_apart,
            "has_sample": "sample" in profiles,
            "headlines": figures.headlines(cells, self.figures_dir),
            "counts": tables.counts(counted),
            "setting": _setting(self.known),
            "notebooks": self.pages,
            "comparison": tables.comparison(cells),
            "papers": [
                self.paper(key, cells[cells["paper"] == key], claims[claims["paper"] == key])
                for key in papers.KEYS
            ],
            "sections": [self.section(key) for key in SECTIONS],
            "own": tables.own(own) if len(own) else None,
            "runs": tables.runs(self.known),
            "unusable": int(self.known["problem"].notna().sum()),
        }

    def paper(self, key: str, cells: pd.DataFrame, claims: pd.DataFrame) -> dict[str, Any]:
        """Return what the page shows of one paper."""
        name, card = facts.name_paper(key), papers.load(key)
        accuracies = figures.accuracies(cells, self.figures_dir)
        about_data = [cards.read_facts(dataset) for dataset in card.datasets]
        return {
            "key": key,
            "name": name,
            "card": card,
            "apart": [about["apart"] for about in about_data if "apart" in about],
            "deviations": tables.of_frame(
                card.deviations_table().rename_axis("deviation"),
                f"{name}: stated, and done otherwise here",
                kind="cards",
            ),
            "has_accuracies": bool(accuracies),
            "figures": accuracies + figures.of_paper(cells, self.base, self.figures_dir),
            "leakage": tables.leakage(self.known[self.known["paper"] == key], name),
            "verdicts": claims["verdict"].value_counts().reindex(VERDICTS, fill_value=0).to_dict(),
            "conclusions": tables.conclusions(claims),
            "claims": tables.claims(
                claims, f"What {name} print, and what the rest makes of it", key
            ),
            "notebooks": [page for page in self.pages if key in page["papers"]],
        }

    def section(self, key: str) -> dict[str, Any]:
        """Return what the page shows of one of `SECTIONS`."""
        here, about = self.known[self.known["paper"] == key], SECTIONS[key]
        shown: list[tables.Table] = []
        drawn, problems = [], []
        for profile in sorted(here["profile"].unique()):
            try:
                for name, frame, kind, axes, stem, what in getattr(self, key)(profile):
                    shown.append(tables.of_frame(frame, name, kind))
                    alt = f"{what}; the numbers are in the table: {name}."
                    path = self.figures_dir / f"{key}-{profile}{stem}.svg"
                    drawn.append(figures.write(axes, path, alt, f"{what} ({name})"))
            except ResultsError as error:  # said on the page; the other profiles stay
                problems.append(f"{profile}: {facts.relative_text(error, self.base)}")
        return {
            "key": key,
            **about,
            "tables": shown,
            "figures": drawn,
            "problems": problems,
            "runs": len(here),
            "notebooks": [page for page in self.pages if page["stem"] == about.get("notebook")],
        }

    def honest(self, profile: str) -> Iterator[tuple]:
        """Yield each split's table (name, frame, kind) and figure (Axes, file's end, what)."""
        measured = leaderboard.measure(profile, self.base)
        # Other people's results are on real images: beside any others they would mislead.
        is_real = set(measured["dataset"].dropna()) == {"cnmc-2019"}
        references = leaderboard.references() if is_real else None
        for split in measured["split"].dropna().unique():
            name = f"Leaderboard, split {split}, profile {said(profile)}"
            table = leaderboard.leaderboard(measured, split)
            axes = plots.leaderboard(measured, split, references=references)
            yield name, table, "wide sortable", axes, f"-{split}", "Weighted F1"

    def gap(self, profile: str) -> Iterator[tuple]:
        """Yield table and figure of the gap, as `honest` does."""
        measured = gap.measure(profile, self.base)
        name = f"AUC step by step, profile {said(profile)}"
        axes = plots.gap_ladder(measured, title="")
        yield name, gap.steps(measured), "wide", axes, "", "What each leak is worth"

    def transfer(self, profile: str) -> Iterator[tuple]:
        """Yield table and figure of each score between data sets, as `honest` does."""
        measured = transfer.measure(profile, self.base)
        for quantity, score in transfer.QUANTITIES.items():
            name = f"{score} (95% interval), trained on rows, tested on columns, profile {profile}"
            table, axes = transfer.matrix(measured, quantity), plots.transfer(measured, quantity)
            yield name, table, "wide sortable", axes, f"-{quantity}", "What holds on another set"


def _setting(known: pd.DataFrame) -> dict[str, str]:
    """Say when, where and with what the runs were made; {} for no run."""
    usable = known[known["problem"].isna()]
    if usable.empty:
        return {}
    first, last = usable["finished"].min(), usable["finished"].max()
    commits, hardware, versions = (
        "; ".join(sorted(usable[name].dropna().unique()))
        for name in ("commit", "hardware", "versions")
    )
    return {
        "Finished": first if first == last else f"{first} to {last}",
        "Commit": commits or "not run from a checkout",
        "Hardware": hardware,
        "Versions": versions,
        "Time": f"{usable['minutes'].sum():.1f} minutes for {len(usable)} runs",
    }


def _remove_stale(report_dir: pathlib.Path, written: set[str]) -> None:
    """Remove what an earlier build wrote and this one did not, and list what this one wrote."""
    listing = report_dir / LISTING
    before = listing.read_text(encoding="utf-8").splitlines() if listing.exists() else []
    here = report_dir.resolve()
    for name in set(before) - written:
        path = (here / name).resolve()
        if path.is_relative_to(here):  # whatever somebody wrote into the list
            path.unlink(missing_ok=True)
    with replace_when_done(listing) as path:
        path.write_text("".join(f"{name}\n" for name in sorted(written)), encoding="utf-8")
