"""Does the gap's interval hold what a leak is truly worth? Simulated leaks of known size.

Subjects and cells are those of `bench_coverage`. A classifier that has met a subject in training
knows a share of what is special about it: its scores vary between subjects by that much less. What
that is worth, the score with the leak minus the one without, follows from the normal distribution.
The kit's interval is that of `leukkit.metrics.difference`, which the gap uses; beside it stands the
same difference with images as units, as papers give it.

``python -m benchmarks leak_bill`` takes some minutes on one core.
"""

import numpy as np
import pandas as pd

from benchmarks.bench_coverage import EFFECT, _ends, percentiles, simulate, truth
from leukkit import metrics

NAMES = ["accuracy", "weighted_f1", "balanced_accuracy", "auc", "sensitivity", "specificity", "f1"]
KNOWN = (0.0, 0.5, 1.0)  # the share of a subject's effect that the leak gives away
SUBJECTS, DATA_SETS, DISTANCE = 40, 1000, 2.4
FIRST = 1000  # seed; the interval was chosen on those below


def bill(known):
    """Return the true worth, and how often each interval holds it, by score."""
    size = (1 - known) * EFFECT
    true = (truth(DISTANCE, size) - truth(DISTANCE))[NAMES]
    rows = []
    for seed in range(FIRST, FIRST + DATA_SETS):
        generator = np.random.default_rng([SUBJECTS, seed])
        leaked, free = simulate(generator, SUBJECTS, (DISTANCE, DISTANCE), sizes=(size, EFFECT))
        ours = metrics.difference(metrics.leave_out(leaked), metrics.leave_out(free))
        of_images = percentiles(leaked, "image_id", seed) - percentiles(free, "image_id", seed)
        for method, ends in (("over subjects", ours), ("over images", _ends(of_images))):
            low, high = ends.loc[NAMES, "low"], ends.loc[NAMES, "high"]
            ends_of = {"below": true < low, "above": true > high, "width": high - low}
            rows.append(pd.DataFrame(ends_of).assign(method=method).rename_axis("score"))
    found = pd.concat(rows).groupby(["method", "score"], sort=False).mean().astype(float)
    found.insert(0, "holds", 1 - found["below"] - found["above"])
    return found.join(true.rename("worth"), on="score")


def main():
    print(
        f"{DATA_SETS} data sets of {SUBJECTS} subjects: share of 95% intervals that hold the worth"
    )
    for known in KNOWN:
        found = bill(known).round(3).to_string()
        print(f"\nthe leak gives {known:.0%} of a subject away\n{found}", flush=True)


if __name__ == "__main__":
    main()
