"""``python -m benchmarks [NAME …]``: run all benchmarks, or those named, and print each figure."""

import importlib
import pathlib
import sys

FOUND = sorted(path.stem for path in pathlib.Path(__file__).parent.glob("bench_*.py"))


def main(names):
    unknown = [name for name in names if f"bench_{name}" not in FOUND]
    if unknown:
        known = ", ".join(name.removeprefix("bench_") for name in FOUND)
        sys.exit(f"no benchmark named {', '.join(unknown)}; there are {known}")
    for name in [f"bench_{name}" for name in names] or FOUND:
        importlib.import_module(f"benchmarks.{name}").main()


if __name__ == "__main__":
    main(sys.argv[1:])
