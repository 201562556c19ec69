"""Print what the sample's networks were trained on and what they reach, from finished results.

    python -m tools.sample_table [results-dir]

Steps are those of the first fold, the loss that of its last epoch; the AUC is by image, between
more than two classes the mean of one against the rest. The last column is the smallest share of
the leak-free test images that a class was called.
"""

import sys
from collections import defaultdict
from collections.abc import Sequence

from leukkit import metrics, papers, results, runs


def main(arguments: Sequence[str]) -> None:
    """Print a Markdown table with one row per network, of both protocols."""
    base = arguments[0] if arguments else None
    print("| paper, network | width, side | steps | loss | AUC, reproduced | leak-free | called |")
    print("|---|---|---|---|---|---|---|")
    for paper in papers.KEYS:
        rows: dict[str, dict] = defaultdict(dict)
        for run in papers.load(paper).plan("sample"):
            if run.recipe is None or run.recipe.phases:
                rows[run.name][run.split] = run
        for name, by_split in rows.items():
            leak_free = by_split.pop("leak-free", None)
            print(
                "| " + " | ".join([f"{paper}, {name}", *_cells(by_split, leak_free, base)]) + " |"
            )


def _cells(by_split, leak_free, base):
    run = next(iter(by_split.values()))
    folder = runs.folder(run, base)
    yield f"{run.recipe.width:g}, {run.recipe.image_size}" if run.recipe else ""
    if run.recipe:
        history = results.read_table(folder, "history").query("fold == 0")
        steps = results.read_record(folder / "fold-0").images["train"] // run.recipe.batch_size
        yield f"{steps * len(history)}"
        yield f"{history['loss'].iloc[-1]:.2f}"
    else:
        yield from ("", "")
    found = [metrics.bootstrap(results.read_table(folder))]
    called = ""
    if leak_free:
        predictions = results.read_table(runs.folder(leak_free, base))
        found.append(metrics.bootstrap(predictions))
        called = f"{metrics.confusion(predictions).sum(axis=0).min() / len(predictions):.0%}"
    texts = [
        metrics.with_interval(*frame.loc["auc", ["point", "low", "high"]], 2) for frame in found
    ]
    yield from [*texts, ""][:2]
    yield called


if __name__ == "__main__":
    main(sys.argv[1:])
