"""``python -m benchmarks.commands [DATA]``: both commands from a fresh clone, with installing.

The last commit is cloned into a folder that is removed in the end. DATA are real cells for
``make test``. It takes three quarters of an hour; nothing else should run on the machine.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).parents[1]
# In minutes (results: MB): at most, and if it can be.
LIMITS = {
    "make reproduce": (15, 8),
    "make reproduce PAPER=farag2025, installed": (1.5, None),
    "make test": (22, 14),
    "slowest notebook, beside another": (3, 1.25),
    "results of the sample, MB": (200, None),
}


def run(command: list[str], folder: pathlib.Path, **variables: str) -> tuple[float, str]:
    """Run a command to its end; return minutes and all it said."""
    started = time.monotonic()
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-3000:]}")
    return (time.monotonic() - started) / 60, done.stdout


def main(data: str | None = None) -> None:
    """Print the table."""
    measured = {}
    with tempfile.TemporaryDirectory() as temporary:
        first, second = (pathlib.Path(temporary) / name for name in ("first", "second"))
        for clone in (first, second):
            run(["git", "clone", "--quiet", str(ROOT), str(clone)], ROOT)
        measured["make reproduce"], said = run(["make", "reproduce"], first)
        ended = re.findall(r"(\d\d_\w+)\.ipynb: done in (\d+) s", said)
        notebooks = {name: int(seconds) for name, seconds in ended}
        slowest = max(notebooks, key=notebooks.__getitem__)
        measured["slowest notebook, beside another"] = notebooks[slowest] / 60
        files = [path for path in (first / "results").rglob("*") if path.is_file()]
        measured["results of the sample, MB"] = sum(path.stat().st_size for path in files) / 1e6
        fresh = {f"LEUKKIT_{name}_DIR": f"{temporary}/{name}" for name in ("RESULTS", "CACHE")}
        one = "make reproduce PAPER=farag2025, installed"
        measured[one], _ = run(["make", "reproduce", "PAPER=farag2025"], first, **fresh)
        cells = [f"DATA={data}"] if data else []
        measured["make test"], said = run(["make", "test", *cells], second)
    print("| | measured | at most | if it can be |\n|---|---|---|---|")
    for name, (most, best) in LIMITS.items():
        print(f"| {name} | {measured[name]:.1f} | {most} | {best or ''} |")
    parts = re.findall(r"=+ (.* in .*s.*) =+", said)
    print(f"\nThe slowest: {slowest}. make test: {'; '.join(parts)}")


if __name__ == "__main__":
    main(*sys.argv[1:2])
