"""When, where and from what the runs in the results folder came, and what they leak."""

import datetime
import pathlib
import re

import pandas as pd

from leukkit import results
from leukkit.metrics import groups
from leukkit.report.names import NAMES, PACKAGES, used

LEAKS = ("patient", "subject", "source_image", "bytes", "original")
TYPES = {
    "paper": "string",
    "profile": "string",
    "protocol": "string",
    "model": "string",
    "folds": "Int64",
    "problem": "string",
    "run": "string",
    "minutes": "Float64",
    "finished": "string",
    "versions": "string",
    "hardware": "string",
    "commit": "string",
    "data": "string",
    "network": "string",
    "weights": "string",
    "images": "Int64",
    "subjects": "Int64",
    "groups are": "string",
    **dict.fromkeys(LEAKS, "Float64"),
}
PLACE = ("paper", "profile", "protocol", "model", "folds", "problem", "run")


def facts(listed, base):
    """Gather the facts of runs.

    Args:
        listed: Dicts of the rows of `results.runs`, with ``run``, the folder relative to ``base``.
        base: Folder of the results.

    Returns:
        The frame of `overview.runs`.
    """
    rows = []
    for run in listed:
        row = {name: run[name] for name in PLACE} | {"model": pathlib.Path(run["folder"]).name}
        if pd.isna(run["problem"]):
            try:
                row |= _facts(run["folder"])
            except (ValueError, OSError) as error:  # listed with its reason, like other problems
                row["problem"] = as_text(error, base)
        else:
            row["problem"] = as_text(run["problem"], base)
        rows.append(row)
    return pd.DataFrame(rows).reindex(columns=list(TYPES)).astype(TYPES)


def as_text(problem, base):
    """Return a problem with paths relative to the results folder: the same on every machine."""
    return str(problem).replace(f"{base}/", "")


def pool_leakage(records):
    """Return the shares of test images that leak over all folds, weighted by their test images.

    Args:
        records: List of ``fold.json`` as `results.read_records` gives them.

    Returns:
        Dict of `LEAKS` to a share (0..1), or NA where a fold does not know it.
    """
    found = [record["leakage"] or {} for record in records]
    shares = {}
    for name in LEAKS:
        values = [(fold.get(name), fold.get("test_images")) for fold in found]
        if any(share is None or not images for share, images in values):
            shares[name] = pd.NA
        else:
            total = sum(images for _, images in values)
            shares[name] = sum(share * images for share, images in values) / total
    return shares


def versions_text(record):
    """Return the versions of a fold, e.g. ``Python 3.11.7, TensorFlow 2.21.0, …``."""
    return ", ".join(f"{PACKAGES.get(name, name)} {at}" for name, at in record["versions"].items())


def hardware_text(record):
    """Return the machine of a fold, e.g. ``AMD EPYC, 2 cores, 24 GiB``."""
    machine = record["hardware"]
    parts = [machine["processor"] or "processor unknown", f"{machine['cores']} cores"]
    if "memory" in machine:
        parts.append(f"{machine['memory']:.0f} GiB")
    return ", ".join(parts)


def weights_text(record):
    """Return what the training of a fold began with, or which weights made its features; or NA."""
    recorded = record.get("weights_used", record["configuration"].get("weights"))
    if not isinstance(recorded, str):
        return pd.NA
    if random := re.fullmatch(r"he-normal-\d+:(\d+)", recorded):  # see `models.weights_id`
        return f"random, seed {random[1]}"
    if re.fullmatch("[0-9a-f]{64}", recorded):
        return f"file (sha256 {recorded[:12]})"
    return recorded


def data_and_network(folder, records):
    """Return the data set and the network that a run used; those of the members of an ensemble.

    Args:
        folder: Folder of the run.
        records: Its ``fold.json``, as `results.read_records` gives them.

    Returns:
        Dict of ``data`` and ``network`` (texts), NA where not recorded.
    """
    configurations = [record["configuration"] for record in records]
    if members := set(configurations[0].get("members", ())):
        beside = [results.read_record(path) for path in _folds_beside(folder)]
        members = [record for record in beside if record["configuration_hash"] in members]
        configurations = [record["configuration"] for record in members]
    runs = [used(configuration) for configuration in configurations]
    named = [run.get("backbone", run.get("model", pd.NA)) for run in runs]
    networks = joined(NAMES.get(name, name) if pd.notna(name) else pd.NA for name in named)
    data = joined(configuration.get("dataset", pd.NA) for configuration in configurations)
    return {"data": data, "network": f"mean of {networks}" if members else networks}


def finished_date(records):
    """Return the day on which the last fold was finished, in UTC, as ``2026-11-21``."""
    moments = [datetime.datetime.fromisoformat(record["finished"]) for record in records]
    return max(moments).astimezone(datetime.UTC).date().isoformat()


def joined(texts):
    """Return the different ones of some texts, in order, joined by " / "; NA if all are."""
    known = dict.fromkeys(text for text in texts if pd.notna(text))
    return " / ".join(known) if known else pd.NA


def _folds_beside(folder):
    """Return the finished first folds of the runs beside a run, in order."""
    return sorted(path.parent for path in pathlib.Path(folder).parent.glob("*/fold-0/fold.json"))


def _facts(folder):
    records, predictions = results.read_records(folder), results.read_table(folder)
    over, name = groups(predictions)
    return {
        "minutes": sum(record["seconds"] for record in records) / 60,
        "finished": finished_date(records),
        "versions": joined(versions_text(record) for record in records),
        "hardware": joined(hardware_text(record) for record in records),
        "commit": joined(record["commit"] or pd.NA for record in records),
        **data_and_network(folder, records),
        "weights": joined(weights_text(record) for record in records),
        "images": len(predictions),
        "subjects": over.nunique(),
        "groups are": name,
        **pool_leakage(records),
    }
