"""The sections of the page that belong to no paper: the honest benchmark and the gap."""

from leukkit import gap, honest, plots
from leukkit.report import figures
from leukkit.report.page_rows import said, table
from leukkit.results import ResultsError

NOTEBOOK = "07_honest_benchmark"
ABOUT = {
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


def sections(results_dir, figures_dir, runs, pages, draws=2000):
    """Return what the page shows of the benchmark and the gap.

    Args:
        results_dir: Folder of the results.
        figures_dir: Where the figures go.
        runs: The frame of `overview.runs`.
        pages: What `notebooks.write_pages` gives.
        draws: Bootstrap draws of the intervals.

    Returns:
        List of dicts: the variables of ``templates/sections.html``.
    """
    found = []
    for (key, about), show in zip(ABOUT.items(), (_honest, _gap), strict=True):
        section = {"key": key, **about, "tables": [], "figures": [], "problems": []}
        section["runs"] = int((runs["paper"] == key).sum())
        section["notebooks"] = [page for page in pages if page["stem"] == NOTEBOOK]
        for profile in sorted(runs.loc[runs["paper"] == key, "profile"].unique()):
            try:
                tables, drawn = show(profile, results_dir, figures_dir, draws)
            except ResultsError as error:  # said on the page; the other profiles stay
                section["problems"].append(f"{profile}: {error}".replace(f"{results_dir}/", ""))
                continue
            section["tables"] += tables
            section["figures"] += [
                it | {"file": f"{figures_dir.name}/{it['file']}"} for it in drawn
            ]
        found.append(section)
    return found


def _honest(profile, results_dir, figures_dir, draws):
    measured = honest.measure(profile, results_dir, draws)
    # Other people's results are on real images: beside drawn ones they would mislead.
    references = None if profile == "sample" else honest.references()
    tables, drawn = [], []
    for protocol in measured["protocol"].dropna().unique():
        name = f"Leaderboard, protocol {protocol}, profile {said(profile)}"
        tables.append(table(honest.leaderboard(measured, protocol), name))
        axes = plots.leaderboard(measured, protocol, references=references)
        path = figures_dir / f"honest-{profile}-{protocol}.svg"
        drawn.append(figures.write(axes, path, *_words("Weighted F1", name)))
    return tables, drawn


def _gap(profile, results_dir, figures_dir, draws):
    measured = gap.measure(profile, results_dir, draws)
    name = f"AUC step by step, profile {said(profile)}"
    axes = plots.gap_ladder(measured, title="")
    path = figures_dir / f"gap-{profile}.svg"
    drawn = [figures.write(axes, path, *_words("What each leak is worth", name))]
    return [table(gap.steps(measured), name, sortable=False)], drawn


def _words(what, name):
    """Return the description and the caption of a figure that goes with the table ``name``."""
    return f"{what}; the numbers are in the table: {name}.", f"{what} ({name})"
