"""Parts of a result card: training, scores, leaks and limits, each from the records of a run."""

import pandas as pd

from leukkit import metrics, results
from leukkit.metrics import check_predictions, groups
from leukkit.report import run_facts
from leukkit.report.markdown import bullets, escape, table

LEAKS = {
    "patient": "patient",
    "subject": "subject (subject)",
    "source_image": "source image",
    "bytes": "exact file",
    "original": "original, or an augmented copy of it",
}
SCORES = {"auc": "AUC", "f1": "F1", "weighted_f1": "weighted F1"}
SETTINGS = {  # name in `training.Recipe` or the configuration -> in words
    "augmentation": "augmentation, in every epoch anew",
    "copies": "augmentation of the copies made before training",
    "deterministic": "repeatable",
    "grid_folds": "folds of the grid search",
    "new_layer_factor": "learning rate of the last layer, times",
    "patience": "patience in epochs (0: no early stop)",
    "select": "epoch kept",
    "steps": "batches per epoch (0: all images)",
    "synchronized": "batch normalization over all devices",
}
OF_THE_GRID = {"c", "gamma", "kernels", "grid_folds"}  # recorded, but only an SVM has them
OF_SGD = ("momentum", "weight_decay", "new_layer_factor")
NOT_SETTINGS = {"paper", "protocol", "run", "dataset", "classes", "recipe", "weights"}
NOT_SETTINGS |= {"images", "training", "test", "members"}  # digests of the images


def training(record):
    """List how the model of a fold was trained, as recorded with it."""
    configuration = record["configuration"]
    settings = {**configuration.get("recipe", {})}
    if settings.get("optimizer", "sgd") != "sgd":
        settings = {key: value for key, value in settings.items() if key not in OF_SGD}
    left_out = set(NOT_SETTINGS)
    if not configuration["run"].get("classifier", "svm").startswith("svm"):
        left_out |= OF_THE_GRID
    for key, value in configuration.items():
        if key not in left_out:
            settings["copies" if key == "augmentation" else key] = value
    settings["weights"] = run_facts.weights_text(record)  # what the recipe asks for is a name
    facts = {SETTINGS.get(key, key.replace("_", " ")): _text(settings[key]) for key in settings}
    if "epochs" in record:
        facts["epochs trained"] = record["epochs"]
    if record.get("selected"):
        facts["chosen"] = _text(record["selected"])
    return bullets(facts)


def score_run(run, draws):
    """Score a run over all of its folds.

    Args:
        run: Folder of the run.
        draws: Bootstrap draws of the intervals.

    Returns:
        The frame of `metrics.bootstrap`, with a row for the sensitivity of each class where there
        are more than two; ``attrs``: ``classes``, ``images``, ``groups`` (number) and
        ``groups_are``.
    """
    predictions = results.read_table(run)
    over, name = groups(predictions)
    grouped = predictions.assign(group=over)
    classes = check_predictions(predictions)
    drawn = metrics.bootstrap(grouped, by="group", draws=draws)
    for label in classes if len(classes) > 2 else ():
        of_class = metrics.bootstrap(grouped, by="group", draws=draws, positive=label)
        drawn.loc[f"sensitivity, {label}"] = of_class.loc["sensitivity"]
    counts = {"images": len(predictions), "groups": over.nunique(), "groups_are": name}
    drawn.attrs = {"classes": classes, **counts}
    return drawn


def score_table(scored, folder, folds):
    """Put the scores of a run over all folds beside those of one fold alone.

    Args:
        scored: What `score_run` gave.
        folder: The fold's folder.
        folds: Number of folds of the run.
    """
    about, tested = scored.attrs, results.read_fold(folder)
    rows = {"score": [SCORES.get(name, name.replace("_", " ")) for name in scored.index]}
    values = scored[["point", "low", "high"]].itertuples(index=False)
    whole = "95% interval" if folds == 1 else f"all {folds} folds, 95% interval"
    rows[whole] = [metrics.with_interval(*value) for value in values]
    images = f"{about['images']} test images"
    if folds > 1:
        number = folder.name.removeprefix("fold-")
        alone = metrics.scores(tested)
        for label in about["classes"] if len(about["classes"]) > 2 else ():
            of_class = metrics.scores(tested, positive=label)
            alone[f"sensitivity, {label}"] = of_class["sensitivity"]
        name = f"fold {number} alone (this model)"
        rows[name] = [metrics.with_interval(alone[score]) for score in scored.index]
        images += (
            f" in {folds} folds, each predicted by a model of its own; {len(tested)} by this one"
        )
    positive = about["classes"][-1]
    kind = (
        f"The positive class is {positive}" if len(about["classes"]) == 2 else "Means over classes"
    )
    return (
        f"Of {images}. {escape(kind)}. Intervals are over {about['groups']} {about['groups_are']}."
        f"\n\n{table(pd.DataFrame(rows))}"
    )


def leak_table(record, records):
    """List the shares of test images that leak, in this fold and in all folds."""
    pooled, own = run_facts.pool_leakage(records), run_facts.pool_leakage([record])
    columns = {"in training too: the same": list(LEAKS.values())}
    columns["this fold"] = [_share(own[name]) for name in LEAKS]
    if len(records) > 1:
        columns["all folds"] = [_share(pooled[name]) for name in LEAKS]
    return table(pd.DataFrame(columns))


def limits(record, records, scored):
    """Yield what the scores of a model do not tell, one Markdown sentence or two each."""
    configuration, leaks = record["configuration"], run_facts.pool_leakage(records)
    if configuration["dataset"].startswith("sample"):
        yield (
            "Trained and tested on **drawn images**: the scores show how the kit works and say "
            "nothing about leukemia."
        )
    yield from _leaks(leaks)
    digests = configuration.get("images", {})
    if "test" in digests and digests["test"] == digests.get("validation"):
        yield (
            "**The validation images are the test images**: what was chosen on them was chosen on "
            "what is scored."
        )
    if scored.attrs["groups_are"] == "block proxies":
        yield "Patients are not known: blocks of neighboring images stand in for subjects."
    if scored.attrs["groups_are"] == "original images":
        yield "Patients are not known: the intervals take all originals for independent."
    yield (
        f"Tested on {escape(configuration['dataset'])} alone: other laboratories, stains and "
        "scanners were not tested."
    )
    yield (
        "The intervals say how the scores vary with the subjects tested. They do not cover another "
        "training: other subjects to learn from, another seed."
    )


def _leaks(leaks):
    found = [name for name, share in leaks.items() if pd.notna(share) and share > 0]
    unknown = [LEAKS[name] for name, share in leaks.items() if pd.isna(share)]
    if "subject" in found:
        yield (
            f"**The test leaks:** {leaks['subject']:.1%} of the test images are of subjects who "
            "are in training too. The scores do not tell how the model does on other subjects."
        )
    elif found:
        named = ", ".join(f"{LEAKS[name]} {leaks[name]:.1%}" for name in found)
        yield f"**The test leaks**, though not in subjects as far as known: {named}."
    else:
        yield "None of the leaks that could be looked for was found."
    if unknown:
        yield f"Not known, and so not excluded, in training and test at once: {', '.join(unknown)}."


def _text(value):
    """Return a setting in words."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(one)}" for name, one in value.items()) or "none"
    if isinstance(value, list):
        return "; ".join(map(_text, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None or value == "" else str(value)


def _share(share):
    return "not known" if pd.isna(share) else f"{share:.1%}"
