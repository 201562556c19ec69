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

from benchmarks.bench_coverage import EFFECT, NAMES, _ends, percentiles, simulate, truth
from leukkit import metrics

KNOWN = (0.0, 0.5, 1.0)  # the share of a subject's effect that the leak gives away
SUBJECTS, DATA_SETS, DISTANCE = 40, 1000, 2.4


def bill(known):
    """Return the true worth, and how often each interval holds it, by score."""
    size = (1 - known) * EFFECT
    true = truth(DISTANCE, size) - truth(DISTANCE)
    rows = []
    for seed in range(DATA_SETS):
        generator = np.random.default_rng([SUBJECTS, seed])
        leaked, free = simulate(generator, SUBJECTS, (DISTANCE, DISTANCE), sizes=(size, EFFECT))
        ours = metrics.difference(metrics.leave_out(leaked), metrics.leave_out(free)).loc[NAMES]
        of_images = percentiles(leaked, "image_id", seed) - percentiles(free, "image_id", seed)
        for method, ends in (("over subjects", ours), ("over images", _ends(of_images))):
            covers = (ends["low"] <= true) & (true <= ends["high"])
            rows.append(covers.rename(method))
    found = pd.concat(rows, axis=1).T.groupby(level=0).mean().T.astype(float)
    return found.assign(worth=true)


def main():
    print(
        f"{DATA_SETS} data sets of {SUBJECTS} subjects: share of 95% intervals that hold the worth"
    )
    for known in KNOWN:
        found = bill(known)[["worth", "over subjects", "over images"]]
        print(
            f"\nthe leak gives {known:.0%} of a subject away\n{found.round(3).to_string()}",
            flush=True,
        )


if __name__ == "__main__":
    main()
