"""Print what a network reaches on samples of other seeds, on which settings are chosen.

    python -m tools.other_seeds samhitha efficientnetb0-attention

The AUC by image as in `tools.sample_table`, after a training of its own for each seed, of which
nothing is kept. To try other settings, change the profile ``sample`` of the card.
"""

import sys
import tempfile

import numpy as np

from leukkit import metrics, papers, results, splits, training
from leukkit.datasets import sample

SEEDS = (1, 2, 3)


def main(key: str, name: str) -> None:
    """Print a line for each protocol and seed, and the mean of the seeds."""
    card = papers.load(key)
    (data,) = card.profile("sample").datasets.values()
    for protocol in ("published", "leak-free"):
        reached = []
        for seed in SEEDS:
            cells = sample.load(data, seed=seed)
            split = splits.divide(cells, card.split(protocol, "sample"), seed=0)
            with tempfile.TemporaryDirectory() as temporary:
                folder = training.cross_validate(
                    split,
                    card.recipe(name, "sample"),
                    name=name,
                    strategy=training.strategy(),
                    results_dir=temporary,
                )
                reached.append(metrics.scores(results.read_table(folder))["auc"])
            print(f"{protocol}, seed {seed}: AUC {reached[-1]:.3f}", flush=True)
        print(f"{protocol}, mean: {np.mean(reached):.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
