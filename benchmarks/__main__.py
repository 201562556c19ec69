"""``python -m benchmarks [NAME …]``: run all benchmarks, or those named, and print each figure.

``python -m benchmarks attacks crafted`` tries to break the kit, ``icc`` needs real cells; these run
only if named.
"""

import importlib
import pathlib
import sys

FOUND = sorted(path.stem for path in pathlib.Path(__file__).parent.glob("bench_*.py"))
MODULES = {name.removeprefix("bench_"): name for name in FOUND} | {
    name: name for name in ("attacks", "crafted", "icc")
}


def main(names):
    if unknown := [name for name in names if name not in MODULES]:
        sys.exit(f"no benchmark named {', '.join(unknown)}; there are {', '.join(MODULES)}")
    chosen = [MODULES[name] for name in names] or FOUND
    return max(importlib.import_module(f"benchmarks.{name}").main() or 0 for name in chosen)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
