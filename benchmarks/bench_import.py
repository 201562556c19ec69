"""``import leukkit`` in a fresh interpreter: at most 0.5 s, TensorFlow not imported."""

import statistics
import subprocess
import sys

CODE = """
import sys, time
started = time.perf_counter()
import leukkit
print(time.perf_counter() - started, "tensorflow" in sys.modules)
"""


def main():
    runs = [
        subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
        for _ in range(5)
    ]
    seconds, imported = zip(*[run.stdout.split() for run in runs], strict=True)
    print(
        f"import leukkit: {statistics.median(map(float, seconds)):.3f} s (target: at most 0.5 s), "
        f"TensorFlow imported: {'True' in imported}"
    )
