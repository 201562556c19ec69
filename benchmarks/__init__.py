"""Speed and memory against what a user would use instead, both sides in one run."""

import statistics
import time


def seconds(function, repetitions=1):
    """Return the median time of one call, and the value of the last."""
    times = []
    for _ in range(repetitions):
        start = time.perf_counter()
        value = function()
        times.append(time.perf_counter() - start)
    return statistics.median(times), value
