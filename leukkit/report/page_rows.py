"""What the page shows of the frames: texts, and the numbers its tables are sorted by."""

import pandas as pd

from leukkit import metrics
from leukkit.report.sides import UNITS

QUANTITIES = {"f1": "F1", "auc": "AUC"}  # others are words
SIGNS = {"percent": " %"}  # written behind a printed number; other units speak for themselves
LEAKS = ("subject", "source_image", "bytes", "original")


def said(profile):
    """Return the name of a profile, with what a reader of a figure alone must know."""
    return "sample: drawn images, no statement about the method" if profile == "sample" else profile


def comparison(cells, run_ids, names, sides, others):
    """Prepare the rows of the comparison.

    Args:
        cells: The frame of `overview.cells`.
        run_ids: Dict of a run's folder (relative to the results) to its id on the page.
        names: Dict of a paper's key to its name.
        sides: The sides with a column of their own.
        others: Further sides; they stand in the first column of ``sides``, where they were run.

    Returns:
        List of dicts.
    """
    rows = []
    for cell in cells.to_dict("records"):
        ran = [side for side in sides if cell[f"{side} status"] == "run"]
        row = {name: cell[name] for name in ("paper", "table", "what", "profile")}
        row |= {
            "name": names[cell["paper"]],
            "quantity": QUANTITIES.get(cell["quantity"], cell["quantity"]),
            "printed": cell["printed"],
            "unit": SIGNS.get(cell["unit"], ""),
            "sort": _sort_key(cell["value"], cell["unit"]),
            "status": " ".join([*ran, "both"] if len(ran) == len(sides) else ran or ["none"]),
            **{side: _side(cell, side, run_ids) for side in sides},
        }
        here = [side for side in others if cell[f"{side} status"] == "run"]
        row["others"] = [{"name": side, **_side(cell, side, run_ids)} for side in here]
        rows.append(row)
    return rows


def runs(frame, names):
    """Prepare the rows of the table of runs.

    Args:
        frame: The frame of `overview.runs`.
        names: Dict of a paper's key to its name; others keep their key.

    Returns:
        List of dicts, with ``id``, by which the page finds a run.
    """
    rows = []
    for number, run in enumerate(frame.to_dict("records"), start=1):
        row = {name: _text(run[name]) for name in run}
        row["name"] = names.get(run["paper"], run["paper"])
        row["id"] = f"run-{number}"
        row["problem"] = _text(run["problem"])
        if not row["problem"]:
            row["groups"] = f"{run['subjects']:,} {run['groups are']}"
            row["images"] = f"{run['images']:,}"
            row["minutes"] = f"{run['minutes']:.2f}"
            row["leaks"] = [_share(run[name]) for name in LEAKS]
        rows.append(row)
    return rows


def leakage(frame):
    """Gather the runs of a paper that leak alike.

    Args:
        frame: Rows of `overview.runs`.

    Returns:
        List of dicts with ``profile, protocol, runs`` (text) and the shares, None where unknown.
    """
    usable = frame[frame["problem"].isna()]
    columns = ["profile", "protocol", *LEAKS]
    rows = []
    for values, same in usable.groupby(columns, sort=False, dropna=False):
        row = dict(zip(columns, values, strict=True))
        row |= {name: _share(row[name]) for name in LEAKS}
        models = list(same["model"])
        row["runs"] = f"{len(models)} runs" if len(models) > 2 else ", ".join(models)
        rows.append(row)
    return rows


def setting(frame):
    """Say when, where and with what the runs were made: a dict of text; {} for no run."""
    usable = frame[frame["problem"].isna()]
    if usable.empty:
        return {}
    first, last = usable["finished"].min(), usable["finished"].max()
    return {
        "Finished": first if first == last else f"{first} to {last}",
        "Commit": _all_of(usable["commit"]) or "not run from a checkout",
        "Hardware": _all_of(usable["hardware"]),
        "Versions": _all_of(usable["versions"]),
        "Time": f"{usable['minutes'].sum():.1f} minutes for {len(usable)} runs",
    }


def table(frame, caption, sortable=True):
    """Prepare any frame of texts and numbers as a table; its index is put in front.

    Args:
        frame: The frame.
        caption: What it shows.
        sortable: Whether its rows may be put in another order.

    Returns:
        Dict of ``caption, sortable, columns, numbers`` (whether a column holds numbers), ``rows``.
    """
    if frame.index.names != [None]:
        frame = frame.reset_index()
    numeric = [pd.api.types.is_numeric_dtype(kind) for kind in frame.dtypes]
    rows = [
        [
            {"text": _number(value) if is_number else _text(value)}
            | {"sort": _sort_key(value, None) if is_number else None}
            for value, is_number in zip(row, numeric, strict=True)
        ]
        for row in frame.itertuples(index=False)
    ]
    facts = {"caption": caption, "sortable": sortable, "columns": list(frame)}
    return facts | {"numbers": numeric, "rows": rows}


def _side(cell, side, run_ids):
    status = cell[f"{side} status"]
    if status != "run":
        reason = _text(status).removeprefix("not run").removeprefix(":").strip()
        return {"ran": False, "sort": "", "reason": reason}
    value, unit = cell[side], cell["unit"]
    ends = cell[f"{side} low"], cell[f"{side} high"]
    text = metrics.with_interval(value, *ends, UNITS[unit][1])
    point, _, interval = text.partition(" ")
    run = run_ids.get(cell[f"{side} run"])
    return {
        "ran": True,
        "value": point,
        "interval": interval,
        "sort": _sort_key(value, unit),
        "facts": _facts(cell, side),
        "run": run,
    }


def _facts(cell, side):
    """Say on what a number rests, and which network stands in where it is not the paper's."""
    facts = []
    if pd.notna(cell[f"{side} images"]):
        facts.append(f"{cell[f'{side} images']:,} images")
        facts.append(f"{cell[f'{side} groups']:,} {cell[f'{side} groups are']}")
    facts.append(_text(cell[f"{side} data"]))
    network = _text(cell[f"{side} network"])
    if not network.startswith("mean of") and network not in cell["what"]:
        facts.append(f"{network} in its place")
    return ", ".join(fact for fact in facts if fact)


def _sort_key(value, unit):
    """Return what to sort by: fractions as percent, so that columns of both can be sorted."""
    if pd.isna(value):
        return ""
    return f"{value * (100 / UNITS[unit][0] if unit == 'fraction' else 1):.6g}"


def _share(value):
    return None if pd.isna(value) else float(value)


def _text(value):
    return "" if pd.isna(value) else str(value)


def _number(value):
    if pd.isna(value):
        return ""
    return f"{value:,}" if float(value).is_integer() else f"{value:.3g}"


def _all_of(column):
    return "; ".join(dict.fromkeys(column.dropna().sort_values()))
