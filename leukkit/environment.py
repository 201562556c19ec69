"""What a run rests on: packages, devices, machine, commit. Notebooks begin with `check`."""

import functools
import importlib.metadata
import os
import pathlib
import platform
import re
import subprocess

# What Colab shipped in August 2026; requirements.txt has the same floors.
FLOORS = {"tensorflow": (2, 20), "keras": (3, 13), "scikit-learn": (1, 6), "numpy": (2, 1)}


def check():
    """Print the versions and the devices; a missing GPU is a warning, an old package an error.

    Raises:
        RuntimeError: A package is older than its floor; says which and how to update.
    """
    from leukkit import NOT_FOR_CLINICAL_USE, __version__

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's start-up chatter
    found = {name: importlib.metadata.version(name) for name in FLOORS}
    old = [name for name, version in found.items() if _numbers(version) < FLOORS[name]]
    if old:
        wanted = " ".join(f"'{name}>={'.'.join(map(str, FLOORS[name]))}'" for name in old)
        raise RuntimeError(f"too old: {', '.join(old)}. Run: pip install -U {wanted}")
    import tensorflow

    tensorflow.get_logger().setLevel("ERROR")  # warnings of a first trace tell a reader nothing
    devices = [device.name for device in tensorflow.config.list_physical_devices("GPU")]
    versions = ", ".join(f"{name} {version}" for name, version in found.items())
    print(f"leukkit {__version__}, Python {platform.python_version()}, {versions}")
    print(f"GPUs: {', '.join(devices) or 'none (the paper profile will be slow)'}")
    print(NOT_FOR_CLINICAL_USE)


@functools.cache
def commit():
    """Return the commit that leukkit runs from, with ``+changes`` where files differ from it.

    Returns:
        Hexadecimal text of 12 places, or ``""`` where leukkit does not run from a git checkout.
    """
    checkout = pathlib.Path(__file__).resolve().parent.parent
    if not (checkout / ".git").exists():
        return ""

    def git(*arguments):
        command = ["git", "-C", str(checkout), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no", "--", "leukkit")
        return git("rev-parse", "--short=12", "HEAD") + "+changes" * bool(changed)
    except (FileNotFoundError, subprocess.CalledProcessError):  # no git, or a checkout of another
        return ""


@functools.cache
def hardware():
    """Return the machine in a few words, for results: processor, cores, memory.

    Returns:
        Dict of ``processor`` (text), ``cores`` (usable by this process) and ``memory`` (GiB).
    """
    info = pathlib.Path("/proc/cpuinfo")  # Linux; elsewhere Python knows
    names = re.findall(r"model name\s*:\s*(.+)", info.read_text()) if info.exists() else []
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    found = {"processor": names[0] if names else platform.processor(), "cores": cores}
    if "SC_PHYS_PAGES" in getattr(os, "sysconf_names", {}):
        found["memory"] = round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)
    return found


def _numbers(version):
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])
