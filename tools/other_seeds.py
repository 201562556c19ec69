"""Print what a run of the sample reaches on samples of other seeds, on which settings are chosen.

    python -m tools.other_seeds samhitha efficientnetb0-attention

The AUC by image as in `tools.sample_table`, after runs of their own for each seed, of which nothing
is kept. To try other settings, change the profile ``sample`` of the card.
"""

import sys
import tempfile
from collections import defaultdict

import numpy as np

from leukkit import metrics, papers, results, runs
from leukkit.datasets import sample

SEEDS = (1, 2, 3)


def main(key: str, name: str) -> None:
    """Print a line for each seed and split of a paper's run, and the means of the seeds."""
    planned = [run for run in papers.load(key).plan("sample") if run.name == name]
    reached = defaultdict(list)
    for seed in SEEDS:
        cells = {run.data: sample.load(run.data, seed=seed) for run in planned}
        with tempfile.TemporaryDirectory() as temporary:
            folders = runs.make(planned, results_dir=temporary, cells=cells)
            for run, folder in zip(planned, folders, strict=True):
                auc = metrics.scores(results.read_table(folder))["auc"]
                reached[run.split].append(auc)
                print(f"{run.split}, seed {seed}: AUC {auc:.3f}", flush=True)
    for split, several in reached.items():
        print(f"{split}, mean: {np.mean(several):.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
