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
        folders: dict[str, dict] = defaultdict(dict)
        recipes = {}
        for run in papers.load(paper).plan("sample"):
            if run.recipe is None or run.recipe.phases:
                folders[run.name][run.split] = runs.folder(run, base)
                recipes[run.name] = run.recipe
        for name, by_split in folders.items():
            leak_free = by_split.pop("leak-free")
            reproduced = next(iter(by_split.values()))
            trained = _trained(reproduced, recipes[name]) if recipes[name] else [""] * 3
            called = metrics.confusion(results.read_table(leak_free)).sum(axis=0)
            row = [f"{paper}, {name}", *trained, _auc(reproduced), _auc(leak_free)]
            print(f"| {' | '.join(row)} | {called.min() / called.sum():.0%} |")


def _trained(folder, recipe):
    history = results.read_table(folder, "history").query("fold == 0")
    steps = results.read_record(folder / "fold-0").images["train"] // recipe.batch_size
    size = f"{recipe.width:g}, {recipe.image_size}"
    return [size, f"{steps * len(history)}", f"{history['loss'].iloc[-1]:.2f}"]


def _auc(folder):
    scores = metrics.jackknife(results.read_table(folder))
    return metrics.with_interval(*scores.loc["auc", ["point", "low", "high"]], 2)


if __name__ == "__main__":
    main(sys.argv[1:])
