"""A card beside every kept model: data, protocol, training, scores, limits, and how to load it.

After Mitchell et al. 2019, "Model cards for model reporting". Everything in a card is read or
computed from the fold's folder and its run.
"""

import pathlib

import pandas as pd

from leukkit import files, kept_models, papers, results
from leukkit.files import replace_when_done
from leukkit.report import run_facts
from leukkit.report.card_parts import leak_table, limits, score_run, score_table, training
from leukkit.report.markdown import bullets, code, escape
from leukkit.report.names import NAMES, name_model, used

CARD = "CARD.md"
USE = """\
For research on how classifiers of leukemia images are evaluated: to look at, to test on other \
images, to compare protocols. **Not for clinical use:** not for diagnosis, triage or any other \
decision about a subject."""


def write(results_dir=None, draws=2000):
    """Write ``CARD.md`` beside every kept model; the same results give the same bytes.

    Args:
        results_dir: Folder of the results; None for `files.results_dir`.
        draws: Bootstrap draws of the intervals.

    Returns:
        Frame, one row per kept model: ``model``, the file, and ``card``, both relative to
        ``results_dir``; ``skipped``, NA or why it has no card: its results cannot be used. An older
        card beside such a model is deleted.
    """
    base = pathlib.Path(results_dir or files.results_dir())
    names = (kept_models.NETWORK, kept_models.CLASSIFIER)
    found = [path for name in names for path in base.glob(f"*/*/*/*/fold-*/{name}")]
    rows, scores = [], {}
    for model in sorted(found):
        card = model.with_name(CARD)
        row = {"model": model.relative_to(base).as_posix(), "card": pd.NA, "skipped": pd.NA}
        try:
            folder = model.parent.parent
            if folder not in scores:  # several folds of a run may keep a model
                scores[folder] = score_run(folder, draws)
            text = result_card(model, base, scores[folder])
            with replace_when_done(card) as path:
                path.write_text(text, encoding="utf-8")
            row["card"] = card.relative_to(base).as_posix()
        except (ValueError, FileNotFoundError) as error:
            card.unlink(missing_ok=True)  # it would speak of other results
            row["skipped"] = run_facts.as_text(error, base)
        rows.append(row)
    return pd.DataFrame(rows, columns=["model", "card", "skipped"]).astype("string")


def result_card(model, base, scored):
    """Return the card of one kept model as Markdown.

    Args:
        model: Path of the model's file in its fold's folder.
        base: Folder of the results.
        scored: The scores of the whole run, as `card_parts.score_run` gives them.

    Raises:
        ValueError, FileNotFoundError: The results of the fold or its run cannot be used, or the
            model is not the one that they were made with.
    """
    folder, run = model.parent, model.parent.parent
    records, record = results.read_records(run), results.read_record(folder)
    model_used = name_model(used(record["configuration"]))
    place = folder.relative_to(base).parts
    title = f"{model_used}, {place[0]}, {place[2]}, {folder.name.replace('-', ' ')}"
    sections = {
        "What it is": _what(record, place),
        "Data and protocol": _data(record, records, place),
        "Training": training(record),
        "Scores": score_table(scored, folder, len(records)),
        "Where it comes from": bullets(
            {
                "finished": run_facts.finished_date([record]),
                "minutes": f"{record['seconds'] / 60:.1f}",
                "versions": run_facts.versions_text(record),
                "hardware": run_facts.hardware_text(record),
                "commit": record["commit"] or "unknown",
            }
        ),
        "Limits": "\n".join(f"- {limit}" for limit in limits(record, records, scored)),
        "Intended use": USE,
        "How to load it": _loading(model, base),
    }
    body = "\n\n".join(f"## {name}\n\n{text}" for name, text in sections.items())
    return f"# {escape(title)}\n\n{body}\n"


def _what(record, place):
    configuration = record["configuration"]
    run = configuration["run"]
    here, printed = name_model(used(configuration)), name_model(run)
    facts = {"model": here if here == printed else f"{here}, in place of {printed}"}
    if run.get("variant"):
        facts["variant"] = run["variant"]
    if place[0] in papers.KEYS:
        paper = papers.load(place[0]).paper
        authors = ", ".join(paper["authors"])
        year = f" ({paper['year']})" if "year" in paper else ""
        facts["after"] = f"{authors}: {paper['title']}{year}"
    facts["answers with"] = f"a probability for each of {', '.join(configuration['classes'])}"
    if "parameters" in record:
        facts["parameters"] = f"{record['parameters']:,}"
    return bullets(facts) + f"\n- **fold:** {code('/'.join(place))}, of {record['folds']}"


def _data(record, records, place):
    configuration = record["configuration"]
    data = configuration["dataset"]
    meant = configuration["run"].get("dataset", data)  # a run of one's own need not name any
    facts = {"images": data if meant == data else f"{data}, in place of {NAMES.get(meant, meant)}"}
    if data.startswith("sample"):
        facts["images"] += "; drawn by the kit, no patient was involved"
    facts["protocol"] = place[2]
    facts["profile"] = place[1]
    for part, count in record.get("images", {}).items():
        is_training = part in ("train", "training")
        name = (
            "images for training, augmented copies included"
            if is_training
            else f"images for {part}"
        )
        facts[name] = count
    return (
        f"{bullets(facts)}\n\nShare of test images with something of theirs in training too, which "
        f"is a leak:\n\n{leak_table(record, records)}"
    )


def _loading(model, base):
    lines = []
    if (model.parent / kept_models.RECORD).is_file():
        facts = kept_models.read(model.parent)[1]  # also: the model is the one it was written for
        place = model.parent.relative_to(base).as_posix()
        lines += ["In the folder of the results:", "", "```", f"leukkit predict {place} IMAGE…"]
        lines += ["```", ""]
        temperature = facts["temperature"]
        lines += [
            f"Its probabilities are scaled with the temperature {temperature:.3g}, fitted on "
            "predictions of images that were held out."
            if temperature
            else f"Its probabilities are not calibrated: {escape(facts['not_calibrated'])}.",
            "",
        ]
    if model.name == kept_models.NETWORK:
        lines += ["In Python, in Keras's safe mode, which runs no code from the file:", "", "```"]
        lines += ["from leukkit import models", "", 'network = models.load("model.keras")', "```"]
    else:
        lines += ["In Python, by skops, which runs no code from the file:", "", "```"]
        lines += ["from leukkit.kept_models import classifier_files", ""]
        lines += ['classifier = classifier_files.load("model.skops")', "```"]
    return "\n".join(lines)
