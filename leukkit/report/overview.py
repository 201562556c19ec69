"""Every score that the papers printed for their own classifiers, beside what came out here.

One row per printed cell and profile, from the results folder and the paper cards alone: no image
and no profile's file is read. Scores and intervals are those of `leukkit.report.feature_scores` and
`leukkit.report.networks`; this module puts them side by side and says why a cell has none.
"""

import pathlib

import pandas as pd

from leukkit import files, papers, report, reproduction, results
from leukkit.report import feature_scores, network_scores, networks
from leukkit.report.names import describe
from leukkit.report.not_run import State, is_trained, planned, reason
from leukkit.report.run_facts import as_text, facts

SCORES = ("accuracy", "precision", "recall", "sensitivity", "specificity", "f1", "auc", "loss")
SIDES = {**report.SIDES, **networks.SPLIT_SIDE}
OF_THE_CELL = [
    *("paper", "table", "row", "column", "what", "quantity", "unit", "printed", "value", "profile")
]
OF_THE_VALUE = {
    "": "float64",
    " low": "float64",
    " high": "float64",
    " images": "Int64",
    " groups": "Int64",
    " groups are": "string",
}
OF_THE_RUN = ["folds", "minutes", "finished", "data", "network", "versions", "hardware", "commit"]


def cells(results_dir=None, draws=2000):
    """Put every own-result cell of every card beside what came out here.

    A cell counts as an own result if it prints how well a classifier of the paper did on some
    images: its accuracy, precision, recall, sensitivity, specificity, F1, AUC or loss. Numbers that
    a paper only counts, chooses or quotes do not: images and supports, layers and parameters,
    hyperparameters and epochs, and rows of other papers, which the cards leave out.

    Args:
        results_dir: Folder of the results; None for `files.results_dir`.
        draws: Bootstrap draws of the intervals.

    Returns:
        Frame, for each profile of a paper in the results one row per cell (one row with the
        profile ``""`` where a paper was never run):

        * ``paper, table, row, column`` (positions from 0), ``what`` (in words), ``quantity, unit,
          printed`` (text), ``value`` (number, in ``unit``), ``profile``;
        * for each side (``reproduced``; ``leak-free``; ``70/15/15 split``, of patel2025 alone, NA
          elsewhere): ``<side>``, ``<side> low`` and ``<side> high`` (95% interval), in the unit of
          the print; NaN where not run, or not defined by the predictions (status ``run``). Training
          scores and those of single epochs have no interval;
        * ``<side> images, groups`` (number of what the interval is over) and ``groups are``
          (``subjects``, ``block proxies``, ``original images``), of the part that was scored; NA
          for a single epoch, which comes from the training history;
        * ``<side> folds, minutes, finished`` (date, UTC), of the whole run; ``data`` and
          ``network``: what the profile used, which need not be what the paper names; ``versions,
          hardware, commit``, as in `runs`;
        * ``<side> status``: ``run``, or ``not run: `` and the reason; ``<side> run``: the run's
          folder, relative to ``results_dir``, as in `runs`.
    """
    base = pathlib.Path(results_dir or files.results_dir())
    listed, known = _listed(base)
    frames = []
    for key in papers.KEYS:
        card, here = papers.load(key), listed[listed["paper"] == key]
        for profile in sorted(here["profile"].unique()) or [""]:
            same = here[here["profile"] == profile]
            frames.append(_compare(card, profile, same, known, base, draws))
    return pd.concat(frames, ignore_index=True)


def runs(results_dir=None):
    """List every run in the results: when, where and from what it came, and what it leaks.

    Args:
        results_dir: Folder of the results; None for `files.results_dir`.

    Returns:
        Frame, one row per run, those of no paper (the honest benchmark, the gap) included:
        ``paper, profile, protocol, model, folds``; ``problem``, NA or why the run cannot be used
        (then all that follows but ``run`` is NA); ``run``, its folder relative to ``results_dir``;
        ``minutes`` (of all folds), ``finished`` (date of the last fold, UTC), ``versions``,
        ``hardware``, ``commit``, ``data`` (set), ``network``, ``weights`` (texts; different values
        of the folds are joined by " / "; NA where not recorded); ``images`` tested, their
        ``subjects`` (number of ``groups are``: subjects, block proxies or original images);
        and the shares (0..1) of test images whose ``patient, subject, source_image, bytes`` or
        ``original`` is in training too, over all folds, NA where unknown.
    """
    return _listed(pathlib.Path(results_dir or files.results_dir()))[1]


def counts(cells):
    """Count the printed cells, and those that were run.

    Args:
        cells: The frame of `cells`.

    Returns:
        Frame with ``profile, paper, printed, reproduced, leak-free, 70/15/15 split`` (NA for papers
        without): one row per profile and paper, and last one with ``all`` in both, of cells that
        were run in any profile.
    """
    place = ["paper", "table", "row", "column"]
    ran = cells[[*place, "profile"]].assign(printed=1).astype({"printed": "Int64"})
    for side in SIDES.values():
        ran[side] = (cells[f"{side} status"] == "run").astype("Int64")
    numbers = ["printed", *SIDES.values()]
    by_paper = ran.groupby(["profile", "paper"], sort=False)[numbers].sum(min_count=1)
    total = ran.groupby(place)[numbers].max().sum().to_frame().T
    total.index = pd.MultiIndex.from_tuples([("all", "all")], names=["profile", "paper"])
    return pd.concat([by_paper, total]).reset_index()


def _listed(base):
    """Return the rows of `results.runs`, with ``run``, and the frame of `runs`."""
    listed = results.runs(base)
    listed["run"] = [_relative(folder, base) for folder in listed["folder"]]
    known = facts(listed.to_dict("records"), base)
    return listed.assign(problem=known["problem"].array), known


def _compare(card, profile, listed, known, base, draws):
    """Return the rows of one paper and profile."""
    trained = is_trained(card)
    measured, problems = _measure(
        network_scores if trained else feature_scores, listed, base, draws
    )
    about = ("images", "groups", "groups_are", "folder")
    compared = (networks if trained else feature_scores).compare(card, measured, about)
    printed = card.cells()
    printed = printed[printed["quantity"].isin(SCORES)].reset_index(drop=True)
    place = ["table", "row", "column"]
    compared = compared.set_index(place).reindex(pd.MultiIndex.from_frame(printed[place]))
    texts = {"what": describe(printed), "profile": [profile] * len(printed)}
    rows = printed.assign(**texts).astype(dict.fromkeys(texts, "string"))[OF_THE_CELL]
    state = State(card, profile, measured, problems, planned(card, profile))
    protocols = card.profile("paper").get("protocols", reproduction.PROTOCOLS)
    for protocol, side in SIDES.items():
        rows = rows.join(_side(compared, side, known, base))
        if protocol in protocols:
            missing = rows[f"{side} run"].isna()
            why = [reason(state, protocol, cell) for cell in printed[missing].to_dict("records")]
            rows.loc[missing, f"{side} status"] = [f"not run: {one}" for one in why]
    return rows


def _measure(scores, listed, base, draws):
    """Score the usable runs of a paper; return the numbers, and the problems of the others."""
    problems = dict(zip(listed["run"], listed["problem"], strict=True))
    frames = []
    for run in listed[listed["problem"].isna()].to_dict("records"):
        if lacking := [name for name in scores.KEYS if pd.isna(run.get(name))]:
            problems[run["run"]] = f"its fold.json names no {', '.join(lacking)}"
            continue
        try:
            frames.append(scores.score_run(run, draws))
        except (ValueError, OSError) as error:  # one run that cannot be scored is not all of them
            problems[run["run"]] = as_text(error, base)
    measured = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
    problems = {run: problem for run, problem in problems.items() if pd.notna(problem)}
    return measured.reindex(columns=scores.COLUMNS), problems


def _side(compared, side, known, base):
    """Return the columns of one side, in the order of the printed cells; NA where not run."""
    frame = pd.DataFrame(index=range(len(compared)))
    for name, kind in OF_THE_VALUE.items():
        found = compared.get(f"{side}{name.replace(' are', '_are')}")
        frame[f"{side}{name}"] = pd.Series(None if found is None else found.array, dtype=kind)
    folders = compared.get(f"{side} folder", pd.Series(index=range(len(compared))))
    places = [None if pd.isna(path) else _relative(path, base) for path in folders]
    of_the_run = known.set_index("run")[OF_THE_RUN].reindex(places)
    for name in OF_THE_RUN:
        frame[f"{side} {name}"] = of_the_run[name].array
    ran = pd.Series(places, dtype="string").notna()
    frame[f"{side} status"] = ran.map({True: "run", False: pd.NA}).astype("string")
    frame[f"{side} run"] = pd.array(places, dtype="string")
    return frame


def _relative(folder, base):
    return pathlib.Path(folder).relative_to(base).as_posix()
