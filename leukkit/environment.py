"""The first cell of every notebook: are the packages new enough, and is there a GPU?"""

import importlib.metadata
import os
import platform
import re

# What Colab shipped in August 2026; requirements.txt has the same floors.
FLOORS = {"tensorflow": (2, 20), "keras": (3, 13), "scikit-learn": (1, 6), "numpy": (2, 1)}


def check():
    """Print the versions and the devices; a missing GPU is a warning, an old package an error.

    Raises:
        RuntimeError: A package is older than its floor; says which and how to update.
    """
    from leukkit import __version__

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
    print("Research software, not for clinical use.")


def _numbers(version):
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])
