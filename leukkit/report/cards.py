"""Cards in Markdown: one beside every saved model, one for a data set.

After Mitchell et al. 2019, "Model cards for model reporting", and Gebru et al. 2021, "Datasheets
for datasets", on a page each. What they say stands in ``templates/``; the numbers are read or
computed. A name from anywhere stays text there: no HTML, no link, no broken table.
"""

import importlib.resources
import pathlib
import re
import tomllib
from collections.abc import Mapping
from typing import Any

import jinja2
import markupsafe
import pandas as pd

from leukkit import datasets, metrics, papers, results, saved
from leukkit.datasets import links
from leukkit.datasets.cells import check_attrs
from leukkit.datasets.published import FACTS
from leukkit.files import replace_when_done
from leukkit.report import facts
from leukkit.splits import LEAKS

CARD = "CARD.md"
SCORES = {"auc": "AUC", "f1": "F1", "weighted_f1": "weighted F1"}  # others are words
SOURCES = {
    "publisher": "stated by the publisher",
    "names": "computed from the official file names",
    "measured": "measured by leukkit on the images",
    "others": "stated by others, not measured by leukkit",
    "leukkit": "how leukkit reads it",
    "kit": "by construction: leukkit makes the images",
}
EXAMPLES = 3  # findings of each kind that are shown
_SPECIAL = re.compile(r"[\\`*\[\]<>|&~#]|(?<![^\W_])_|_(?![^\W_])")  # not the _ within a name


def write_model_cards(base: pathlib.Path | str) -> pd.DataFrame:
    """Write ``CARD.md`` beside every saved model; the same results give the same bytes.

    Returns:
        Frame, one row per saved model: ``model``, the file, and ``card``, both relative to
        ``base``; ``skipped``, NA or why it has no card: its results cannot be used. An older card
        beside such a model is deleted.
    """
    top = pathlib.Path(base).resolve()
    names = (saved.NETWORK, saved.CLASSIFIER)
    rows, scores = [], {}
    for model in sorted(path for name in names for path in top.glob(f"*/*/*/*/fold-*/{name}")):
        card, run = model.with_name(CARD), model.parent.parent
        row = {"model": model.relative_to(top).as_posix(), "card": pd.NA, "skipped": pd.NA}
        try:
            if run not in scores:  # several folds of a run may have a model
                scores[run] = metrics.measure(results.read_table(run))
            text = model_card(model, scores[run])
            with replace_when_done(card) as path:
                path.write_text(text, encoding="utf-8")
            row["card"] = card.relative_to(top).as_posix()
        except (ValueError, OSError) as error:
            card.unlink(missing_ok=True)  # it would speak of other results
            row["skipped"] = facts.relative_text(error, top)
        rows.append(row)
    return pd.DataFrame(rows, columns=["model", "card", "skipped"]).astype("string")


def model_card(model: pathlib.Path, scored: pd.DataFrame) -> str:
    """Return the card of one saved model as Markdown.

    ``scored`` is `metrics.measure` of the predictions of its whole run.

    Raises:
        ValueError, FileNotFoundError: The results of the fold or its run cannot be used, or the
            model is not the one that they were made with.
    """
    folder, run = model.parent, model.parent.parent
    records, record = results.read_records(run), results.read_record(folder)
    about, tested = record.configuration, results.read_fold(folder)
    fold, pooled = folder.name.replace("-", " "), facts.leakage(records)
    leaks = {"in training too": LEAKS, "this fold": _shares(facts.leakage([record]))}
    scores = {"95% interval": score_texts(scored)}
    if len(records) > 1:
        leaks["all folds"] = _shares(pooled)
        scores = {
            f"all {len(records)} folds, 95% interval": score_texts(scored),
            f"{fold} alone (this model)": score_texts(metrics.measure(tested, intervals=False)),
        }
    settings = facts.settings(about.recipe, about.table, about.dataset, about.seed)
    settings["weights"] = record.weights_used  # what the recipe asks for is a name
    return render(
        "model_card.md",
        facts=facts,
        record=record,
        about=about,
        paper=papers.load(about.paper) if about.paper in papers.KEYS else None,
        place="/".join(folder.parts[-5:]),
        fold=fold,
        synthetic=about.dataset in datasets.SAMPLES,
        leaks=pd.DataFrame(leaks),
        leak_names=LEAKS,
        shares=pooled,
        found=[name for name in LEAKS if pd.notna(pooled[name]) and pooled[name] > 0],
        unknown=[name for name in LEAKS if pd.isna(pooled[name])],
        settings=pd.DataFrame(settings.items(), columns=["setting", "value"]),
        scores=pd.DataFrame(scores).reset_index(),
        images=int(scored["images"].max()),
        tested=len(tested),
        groups=f"{scored['groups'].max():.0f} {scored['groups_are'].iloc[0]}",
        saved=saved.read(folder).record if (folder / saved.RECORD).is_file() else None,
        is_network=model.name == saved.NETWORK,
    )


def read_facts(name: str) -> dict[str, Any]:
    """Return the facts of a data set from ``cards.toml``: how it was made, layout, traps, uses.

    Raises:
        ValueError: There is no such data set.
    """
    if name not in datasets.NAMES:
        raise ValueError(f"unknown data set {name!r}. Known are: {', '.join(datasets.NAMES)}")
    path = importlib.resources.files("leukkit.datasets").joinpath("cards.toml")
    return tomllib.loads(path.read_text(encoding="utf-8"))[name]


def data_card(name: str, cells: pd.DataFrame | None = None, figure: str = "") -> str:
    """Return the card of a data set as Markdown.

    Published facts are data in ``leukkit/datasets/official.toml`` and ``cards.toml``, each with its
    source; the rest is counted on the images at hand.

    Args:
        name: One of `leukkit.datasets.NAMES`.
        cells: The images at hand, best loaded with ``damaged="keep"``; None if there are none.
        figure: Path, relative to the card, of a picture of cells that were cut out twice, or "".

    Raises:
        ValueError: There is no such data set, or ``cells`` are of another.
    """
    about, published = read_facts(name), FACTS.get(name)
    counted, findings = ({}, []) if cells is None else _counted(name, cells)
    return render(
        "data_card.md",
        title=(published or about)["title"],
        facts=about,
        published=published,
        sources=SOURCES,
        counts=_published_counts(published["counts"]) if published else None,
        counted=counted,
        findings=findings,
        examples=EXAMPLES,
        twice=_cut_out_twice(links.known(name)),
        figure=figure,
    )


def escape(text: object) -> str:
    r"""Return text that Markdown shows as it is: ``<b>`` becomes ``\<b\>``; one line."""
    return _SPECIAL.sub(r"\\\g<0>", " ".join(str(text).split()))


def code(text: object) -> markupsafe.Markup:
    """Return a code span that shows the text as it is, backticks included; not for tables."""
    text = " ".join(str(text).split())
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return markupsafe.Markup(f"{fence}{space}{text}{space}{fence}")


def table(frame: pd.DataFrame) -> markupsafe.Markup:
    """Return a Markdown table of a frame of texts, without its index."""
    rows = [frame.columns, *frame.astype(str).to_numpy()]
    lines = [f"| {' | '.join(map(escape, row))} |" for row in rows]
    lines.insert(1, "| --- " * len(frame.columns) + "|")
    return markupsafe.Markup("\n".join(lines))


def environment(**options: Any) -> jinja2.Environment:
    """Return what fills in the templates; a name that a template does not get is an error."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("leukkit.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        **options,
    )


def render(name: str, **content: Any) -> str:
    """Fill in a template; whatever is not marked as Markdown is escaped."""

    def marked(value: Any) -> markupsafe.Markup:  # autoescape leaves it alone
        return value if isinstance(value, markupsafe.Markup) else markupsafe.Markup(escape(value))

    templates = environment(finalize=marked, keep_trailing_newline=True)
    templates.filters["code"] = code
    return templates.get_template(name).render(table=table, **content)


def score_texts(scored: pd.DataFrame) -> pd.Series:
    """Return the eight scores as text, and the sensitivity of each class of more than two."""
    of_class = scored["label"].notna() & (scored["label"].nunique() > 2)
    kept = scored["quantity"].isin(metrics.NAMES) & scored["label"].isna()
    rows = scored[kept | (of_class & (scored["quantity"] == "sensitivity"))]
    names = [
        SCORES.get(quantity, quantity.replace("_", " ")) + (f", {label}" if pd.notna(label) else "")
        for quantity, label in zip(rows["quantity"], rows["label"], strict=True)
    ]
    return pd.Series(facts.texts(rows), index=pd.Index(names, name="score"))


def _published_counts(counts: list[dict[str, Any]]) -> pd.DataFrame:
    numbers = ("images", "patients")
    rows: list[dict[str, str]] = []
    for count in [*counts, {"images": sum(count.get("images", 0) for count in counts)}]:
        about = [f"{key} {count[key]}" for key in count if key not in numbers]
        texts = {key: f"{count[key]:,}" for key in numbers if key in count}
        rows.append({"part": ", ".join(about) or "in all", **texts})
    frame = pd.DataFrame(rows).fillna("")
    return frame[[name for name in ("part", *numbers) if name in frame]]


def _counted(name: str, cells: pd.DataFrame) -> tuple[dict[str, str], list[tuple]]:
    """Return facts about the images at hand, and findings of `datasets.check` with their kind."""
    check_attrs(cells, "dataset", "root", "classes", "dropped")
    if cells.attrs["dataset"] != name:
        raise ValueError(
            f"the card is of {name}, but the cells are of {cells.attrs['dataset']}: pass the frame "
            f"of leukkit.datasets.load({name!r})"
        )
    problems = datasets.check(cells)
    is_proxy = cells["patient"].isna().all() and cells["subject"].notna().any()
    counted = {"images": f"{len(cells):,}"}
    if len(cells.attrs["dropped"]):
        counted["left out as damaged"] = f"{len(cells.attrs['dropped']):,}"
    for label in cells.attrs["classes"]:
        counted[f"of the class {label}"] = f"{(cells['label'] == label).sum():,}"
    if unlabeled := cells["label"].isna().sum():
        counted["without a label"] = f"{unlabeled:,}"
    counted["patients"] = _number(cells["patient"])
    counted["block proxies" if is_proxy else "subjects"] = _number(cells["subject"])
    of_each = cells["subject" if is_proxy else "patient"].value_counts()
    if len(of_each):
        text = f"median {of_each.median():g}, largest {of_each.max():,} ({of_each.idxmax()})"
        counted[f"images per {'block proxy' if is_proxy else 'patient'}"] = text
    kinds = problems["kind"].value_counts(sort=False)
    counted["duplicates"] = f"{kinds.get('duplicate', 0):,}"
    counted["findings"] = ", ".join(f"{kind} {count:,}" for kind, count in kinds.items()) or "none"
    root = f"{cells.attrs['root']}/"  # left out: the same card on every machine
    findings = [
        (row.kind, [str(part).replace(root, "") for part in (row.image_id, row.detail) if part])
        for _, same in problems.groupby("kind", sort=False)
        for row in same.head(EXAMPLES).fillna("").itertuples()
    ]
    return counted, findings


def _cut_out_twice(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return one row per two patients who share cells, as text."""
    rows = [
        {
            "patients": f"{of_two['patient'].iloc[0]} = {of_two['patient_like'].iloc[0]}",
            "cells": f"{len(of_two)}",
            "bits that differ, of 256": _range(of_two["bits"].sort_values().astype(str)),
            "correlation": _range(of_two["correlation"].sort_values().map("{:.2f}".format)),
            "joined": f"links='{of_two['level'].iloc[0]}'",
        }
        for _, of_two in pairs.groupby(["patient", "patient_like"], sort=False)
    ]
    return pd.DataFrame(rows)


def _range(texts: pd.Series) -> str:
    return " to ".join(texts.iloc[[0, -1]].unique())


def _number(column: pd.Series) -> str:
    """Return how many different values a column has, as text."""
    return f"{column.nunique():,}" if column.notna().any() else "not known"


def _shares(leakage: Mapping[str, Any]) -> dict[str, str]:
    return {name: "not known" if pd.isna(at) else f"{at:.1%}" for name, at in leakage.items()}
