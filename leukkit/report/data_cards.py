"""A card for each data set: where it is from, what is in it, what its traps are, what it is for.

After Gebru et al. 2021, "Datasheets for datasets", on a page. Published facts are data in
``leukkit/datasets/official.toml`` and ``cards.toml``, each with its source; the rest is counted on
the images at hand.
"""

import importlib.resources
import tomllib

import pandas as pd

from leukkit import datasets
from leukkit.datasets.official import FACTS
from leukkit.report.markdown import bullets, code, escape, table

SOURCES = {
    "publisher": "stated by the publisher",
    "names": "computed from the official file names",
    "measured": "measured by leukkit on the images",
    "others": "stated by others, not measured by leukkit",
    "leukkit": "how leukkit reads it",
    "kit": "by construction: leukkit draws the images",
}
EXAMPLES = 3  # findings of each kind that are shown
NOT_AT_HAND = "The images were not at hand when this card was written: nothing was counted."
NOT_FOR_CLINICAL_USE = "Research use only, not for clinical use."


def read_facts(name):
    """Return the facts of a data set from ``cards.toml``: how it was made, layout, traps, uses.

    Raises:
        ValueError: There is no such data set.
    """
    if name not in datasets.NAMES:
        raise ValueError(f"unknown data set {name!r}. Known are: {', '.join(datasets.NAMES)}")
    path = importlib.resources.files("leukkit.datasets").joinpath("cards.toml")
    return tomllib.loads(path.read_text(encoding="utf-8"))[name]


def data_card(name, cells=None):
    """Return the card of a data set as Markdown.

    Args:
        name: One of `leukkit.datasets.NAMES`.
        cells: The `cells` frame of the images at hand, best loaded with ``damaged="keep"``; None
            if there are none, which the card then says.

    Raises:
        ValueError: There is no such data set, or ``cells`` are of another.
    """
    facts, published = read_facts(name), FACTS.get(name)
    if cells is not None and cells.attrs["dataset"] != name:
        raise ValueError(
            f"the card is of {name}, but the cells are of {cells.attrs['dataset']}: pass the frame "
            f"of leukkit.datasets.load({name!r})"
        )
    layout = "\n".join(f"- {code(line)}" for line in facts["layout"])
    traps = "\n".join(
        f"- {escape(trap['says'])} *({SOURCES[trap['source']]})*" for trap in facts["traps"]
    )
    sections = {
        "Source": _source(facts, published),
        "What it is": f"{escape(facts['made'])} *({SOURCES[facts['made_source']]})*",
        "As published": _published(published),
        "Layout": layout,
        "Known traps": traps,
        "Uses": f"{bullets({'fit for': facts['suits'], 'not fit for': facts['suits_not']})}\n\n"
        f"{NOT_FOR_CLINICAL_USE}",
        "Counted here": NOT_AT_HAND if cells is None else _counted(cells),
    }
    title = facts["title"] if published is None else published["title"]
    body = "\n\n".join(f"## {heading}\n\n{text}" for heading, text in sections.items())
    return f"# {escape(title)}\n\n{body}\n"


def images_per_patient(cells):
    """Count the images of each patient, or of each block that stands in for patients.

    Returns:
        A Series of counts, empty where neither is known; ``name``: ``patient`` or ``block proxy``.
    """
    for column, name in (("patient", "patient"), ("subject", "block proxy")):
        if cells[column].notna().any():
            return cells[column].value_counts().rename(name)
    return pd.Series(dtype="int64", name="patient")


def _source(facts, published):
    if published is None:
        return "Part of leukkit, which draws the images (MIT license). No patient was involved."
    known = {"citation": "cite as", "doi": "DOI", "license": "license", "url": "page"}
    rows = {words: published[key] for key, words in known.items() if key in published}
    if "kaggle" in published:
        rows["on Kaggle"] = published["kaggle"]
    return bullets(rows)


def _published(published):
    if published is None:
        return "The built-in samples are not published elsewhere; see what was counted below."
    rows = [
        {
            "part": ", ".join(
                f"{key} {value}"
                for key, value in count.items()
                if key not in ("images", "patients")
            ),
            "images": f"{count['images']:,}" if "images" in count else "",
            "patients": f"{count['patients']:,}" if "patients" in count else "",
        }
        for count in published["counts"]
    ]
    total = sum(count.get("images", 0) for count in published["counts"])
    rows.append({"part": "in all", "images": f"{total:,}", "patients": ""})
    frame = pd.DataFrame(rows)
    if not frame["patients"].any():
        frame = frame.drop(columns="patients")
    return f"{bullets({'classes': ', '.join(published['classes'])})}\n\n{table(frame)}"


def _counted(cells):
    """Describe the images at hand, and what `datasets.check` finds."""
    problems = datasets.check(cells)
    per_patient = images_per_patient(cells)
    facts = {"images": f"{len(cells):,}"}
    if len(cells.attrs["dropped"]):
        facts["left out as damaged"] = f"{len(cells.attrs['dropped']):,}"
    for label in cells.attrs["classes"]:
        facts[f"of the class {label}"] = f"{(cells['label'] == label).sum():,}"
    if unlabeled := cells["label"].isna().sum():
        facts["without a label"] = f"{unlabeled:,}"
    is_proxy = per_patient.name == "block proxy"
    facts["patients"] = "not known" if is_proxy else _number(cells["patient"])
    facts["block proxies" if is_proxy else "subjects"] = _number(cells["subject"])
    if len(per_patient):
        median, largest, name = per_patient.median(), per_patient.max(), per_patient.idxmax()
        facts[f"images per {per_patient.name}"] = f"median {median:g}, largest {largest:,} ({name})"
    kinds = problems["kind"].value_counts(sort=False)
    facts["duplicates"] = f"{kinds.get('duplicate', 0):,}"
    facts["findings"] = ", ".join(f"{kind} {count:,}" for kind, count in kinds.items()) or "none"
    text = bullets(facts)
    shown = []
    for kind, same in problems.groupby("kind", sort=False):
        for row in same.head(EXAMPLES).itertuples():
            parts = [_short(part, cells) for part in (row.image_id, row.detail) if pd.notna(part)]
            shown.append(f"- {kind}: {', '.join(map(code, parts))}")
    if shown:
        first = f"The first {EXAMPLES} findings of each kind (all: `leukkit data check`):"
        text += "\n\n" + first + "\n\n" + "\n".join(shown)
    return text


def _number(column):
    """Return how many different values a column has, as text."""
    return f"{column.nunique():,}" if column.notna().any() else "not known"


def _short(text, cells):
    """Return a text with paths relative to the data set's folder: the same on every machine."""
    return str(text).replace(f"{cells.attrs['root']}/", "")
