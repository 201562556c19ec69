"""REFORMS and TRIPOD+AI for runs and papers, filled in from what is recorded of them.

The items, and which fields answer them, are data: ``checklists.toml``. An answer says what its
fields hold and nothing else; where they are missing or empty, the item is not known.
"""

import collections
import fnmatch
import functools
import importlib.resources
import itertools
import pathlib
import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from leukkit import datasets, files, metrics, papers, results, saved
from leukkit.datasets.published import FACTS
from leukkit.plots import colors
from leukkit.report import cards, facts, overview
from leukkit.schemas import Recipe, in_words

NOT_KNOWN = "not known"
_PLACE = re.compile(  # what is left out of a field's name where it is said
    r"^(paper|protocol|tables|deviations|datasets|selected|versions|scores"
    r"|configuration(\.recipe|\.table)?)\.|\.stated(?=\.)"
)
Fields = Mapping[tuple[str, str], Any]  # file and field -> what it says


@functools.cache
def read() -> dict[str, Any]:
    """Return the content of ``checklists.toml``, which explains itself."""
    path = importlib.resources.files("leukkit.report").joinpath("checklists.toml")
    return tomllib.loads(path.read_text(encoding="utf-8"))


def write(known: pd.DataFrame, base: pathlib.Path, report_dir: pathlib.Path) -> list[str]:
    """Write the checklists of the papers and of a run of each split, as page, Markdown and CSV.

    Of each paper, profile and split the first run of ``known`` (`facts.runs`) that can be used is
    taken; runs of the benchmarks are left out.

    Returns:
        The names of the files.
    """
    from nbconvert.filters import markdown2html

    parts, problems = {}, []
    for key in papers.KEYS:
        parts[facts.name_paper(key)] = fill("paper", of_paper(papers.load(key)))
    usable = known[known["problem"].isna() & known["paper"].isin([*papers.KEYS, "own"])]
    for run in usable.drop_duplicates(["paper", "profile", "split"]).to_dict("records"):
        name = f"Run {run['folder']} ({run['side']})"
        try:
            parts[name] = fill("run", of_run(base / run["folder"]))
        except (ValueError, OSError) as error:  # said on the page; the others stay
            problems.append(f"{name}: {facts.relative_text(error, base)}")
    frame = pd.concat(parts, names=["of"]).reset_index("of")
    by = frame.groupby(["of", "checklist"], sort=False)
    columns = {"number": "item", "asks": "asks", "answer": "answer", "rests_on": "rests on"}
    text = cards.render(
        "checklists.md",
        checklists=read()["checklists"],
        names=[*parts],
        counts={key: rows["status"].value_counts() for key, rows in by},
        items={key: rows[[*columns]].rename(columns=columns) for key, rows in by},
        problems=problems,
    )
    html = cards.environment().get_template("checklists.html")
    written = {
        "checklists.html": html.render(body=markdown2html(text), colors=colors.COLORS),
        "checklists.md": text,
        "checklists.csv": frame.to_csv(index=False),
    }
    for name, content in written.items():
        with files.replace_when_done(report_dir / name) as path:
            path.write_text(content, encoding="utf-8")
    return list(written)


def fill(kind: str, fields: Fields) -> pd.DataFrame:
    """Answer every item of every checklist.

    Args:
        kind: ``"run"`` or ``"paper"``: which of an item's fields are looked for.
        fields: As `of_run` and `of_paper` give them.

    Returns:
        Frame of texts, one row per item: ``checklist, number, section, asks``, ``status``
        (answered, in part, not known), ``answer``, and ``rests_on``, the files and fields.
    """
    rows = []
    for checklist in read()["checklists"]:
        for item in checklist["items"]:
            found = [_find(fields, entry) for entry in item.get(kind, ())]
            row = {"number": item["number"], "section": "", "asks": item["asks"]}
            row["section"] = checklist["sections"][int(item["number"].rstrip("abcdefg")) - 1]
            row |= {"status": NOT_KNOWN, "answer": NOT_KNOWN, "rests_on": ""}
            if found and all(found):
                without = item.get(f"{kind}_without")
                row["status"] = "in part" if without else "answered"
                used = {field: it for match in found for field, it in match.items()}
                texts = [_say(field, it).removesuffix(".") for (_, field), it in used.items()]
                row["answer"] = "; ".join(texts) + f". Left open: {without}." * bool(without)
                row["rests_on"] = _name({*used}, fields)
            rows.append({"checklist": checklist["name"], **row})
    return pd.DataFrame(rows)


def of_run(folder: pathlib.Path) -> Fields:
    """Return what is recorded of a run, of its first fold and of its data set.

    Raises:
        ResultsError: The results cannot be used.
    """
    record = results.read_records(folder)[0]
    about, predictions = record.configuration, results.read_table(folder)
    content = record.model_dump()
    if about.recipe is not None:
        recipe = Recipe.from_record(about.recipe, str(folder)).table()["value"].to_dict()
        if "copies" not in about.table:
            recipe.pop("distortion", None)  # of copies that no split of this run appends
        content["configuration"]["recipe"] = recipe
    scored = metrics.measure(predictions)
    count = f"{scored['groups'].max():.0f} {scored['groups_are'].iloc[0]}"
    scores = cards.score_texts(scored).to_dict()
    tested = predictions["label"].value_counts().reindex(about.classes, fill_value=0)
    sources = {
        "fold.json": content,
        "official.toml": FACTS.get(about.dataset, {}),
        "cards.toml": cards.read_facts(about.dataset) if about.dataset in datasets.NAMES else {},
        "predictions.csv": {
            "scores": scores,
            "measures": [name for name in scores if "," not in name],  # else it is of a class
            "intervals": f"jackknife over {count}, symmetric on the logit scale, Student's t",
            "groups": count,
            "tested": tested.to_dict(),
            "probabilities": [it.removeprefix("prob_") for it in predictions if "prob_" in it],
        },
    }
    if (first := folder / "fold-0" / saved.RECORD).is_file():
        model = saved.read(first).record
        sources[saved.RECORD] = {**model.model_dump(), "sha256": model.sha256[model.model]}
    return dict(field for file, it in sources.items() for field in _flatten(file, "", it))


def of_paper(card: papers.Card) -> Fields:
    """Return what a paper states, by its card: each text with the place where it stands."""
    stated = collections.defaultdict(list)
    for field, text in filter(all, _stated(card)):
        stated[f"{card.key}.toml", field].append(text)
    return {field: "; ".join(texts) for field, texts in stated.items()}


def _stated(card: papers.Card) -> Iterator[tuple[str, str]]:
    yield "paper.title", card.paper.title
    for name, data in card.datasets.items():
        yield f"datasets.{name}.title", data.title
        for it in data.stated:
            of = f".in {it.part}" * bool(it.part) + f".of {it.label}" * bool(it.label)
            text = f"{in_words(it.value)} {it.unit}".strip()
            yield f"datasets.{name}.stated.{it.quantity}{of}", f"{text} ({it.where})"
    for step in card.protocol:
        yield f"protocol.{step.step}", f"{step.says.removesuffix('.')} ({step.where})"
    for name, deviation in card.deviations.items():
        yield f"deviations.{name}", f"{deviation.says} ({deviation.where})"
    cells = card.cells()
    for name, printed in cells[cells["quantity"].isin(overview.SCORES)].groupby("table"):
        yield f"tables.{name}", ", ".join(printed["quantity"].unique())


def _flatten(file: str, path: str, value: Any) -> Iterator[tuple[tuple[str, str], Any]]:
    """Yield the fields that say something; what has words of its own is one field."""
    if isinstance(value, dict) and path not in read()["words"]:
        for name, part in value.items():
            yield from _flatten(file, f"{path}.{name}".removeprefix("."), part)
    elif value not in (None, "", [], {}):
        yield (file, path), value


def _find(fields: Fields, entry: str) -> dict[tuple[str, str], Any]:
    """Return the fields that an entry of an item finds, in the order of its alternatives."""
    return {
        field: fields[field]
        for pattern in entry.split(" | ")
        for field in fields
        if fnmatch.fnmatchcase(field[1], pattern)
    }


def _say(field: str, value: Any) -> str:
    """Return a field in words."""
    words, text = read()["words"], in_words(value)
    if form := words.get(f"{field}={text}") or words.get(field):
        return form.format(text if isinstance(value, bool | list | dict) else value)
    return f"{_PLACE.sub('', field).replace('.', ' ').replace('_', ' ')}: {text}"


def _name(found: set[tuple[str, str]], fields: Fields) -> str:
    """Name files and fields; of a group of fields which are all used, the group."""
    names: dict[str, list[str]] = {}
    for file, field in fields:
        if (file, field) in found:
            name = field
            for group in itertools.accumulate(field.split(".")[:-1], "{}.{}".format):
                alike = {it for it in fields if it[0] == file and it[1].startswith(f"{group}.")}
                if len(alike) > 1 and alike <= found:
                    name = f"{group}.*"
                    break
            names.setdefault(file, []).append(name)
    return "; ".join(f"{file}: {', '.join(dict.fromkeys(it))}" for file, it in names.items())
