"""What a run rests on: packages, devices, machine, commit, digits. Notebooks begin with `check`."""

import contextlib
import functools
import hashlib
import importlib.metadata
import inspect
import multiprocessing
import os
import pathlib
import platform
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator

# What Colab shipped in August 2026; requirements.txt has the same floors. Before Keras 3.13.2 a
# file of weights could make it read other files (an advisory on 3.13.0 and 3.13.1).
FLOORS = {"tensorflow": (2, 20), "keras": (3, 13, 2), "scikit-learn": (1, 6, 1), "numpy": (2, 1)}
CLASSIFIERS = ("scikit-learn", "xgboost")  # whose minor versions change results
# Of TensorFlow's start on a machine without a GPU; `check` says the same in three words. Other
# codes of cuInit than these two (no device, no driver) tell of a GPU that does not work.
CHATTER = re.compile(
    rb"before absl::InitializeLog\(\)|oneDNN custom operations are on|Could not find cuda drivers"
    rb"|cuInit: .*\((100|303)\)|CUDA_ERROR_NO_DEVICE"
)


def check() -> None:
    """Print the versions and the devices; a missing GPU is a warning, an old package an error.

    Raises:
        RuntimeError: A package is older than its floor; says which and how to update.
        ValueError: As `check_keras`.
    """
    from leukkit import NOT_FOR_CLINICAL_USE, __version__

    found = {name: importlib.metadata.version(name) for name in FLOORS}
    old = [name for name, version in found.items() if _numbers(version) < FLOORS[name]]
    if old:
        wanted = " ".join(f"'{name}>={'.'.join(map(str, FLOORS[name]))}'" for name in old)
        raise RuntimeError(f"too old: {', '.join(old)}. Run: pip install -U {wanted}")
    devices = start_tensorflow()
    check_keras()
    versions = ", ".join(f"{name} {version}" for name, version in found.items())
    print(f"leukkit {__version__}, Python {platform.python_version()}, {versions}")
    print(f"GPUs: {', '.join(devices) or 'none (the paper profile will be slow)'}")
    print(NOT_FOR_CLINICAL_USE)


def start_tensorflow() -> list[str]:
    """Import TensorFlow without the chatter of its start; return the names of the GPUs."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # not all lines heed it: hence the filter
    with _without_chatter():
        import tensorflow

        devices = tensorflow.config.list_physical_devices("GPU")
    tensorflow.get_logger().setLevel("ERROR")  # warnings of a first trace tell a reader nothing
    return [device.name for device in devices]


def check_keras(**more: str) -> None:
    """Refuse settings of Keras under which the same recipe and weights give other numbers.

    They come from ``keras.json``, the environment or an earlier cell, and stand in no record.

    Args:
        more: What also must be so: ``backend``, ``dtype_policy``.

    Raises:
        ValueError: A setting is another one; says which and how to change it.
    """
    import keras

    wanted = {"image_data_format": "channels_last", "floatx": "float32", "epsilon": 1e-7, **more}
    for name, value in wanted.items():
        found = getattr(keras.config, name)()
        found = getattr(found, "name", found)  # of a policy
        do = f"call keras.config.set_{name}({value!r}) first, or correct ~/.keras/keras.json"
        if name == "backend":
            do = f"set KERAS_BACKEND={value} before Python starts"
        if name == "dtype_policy":
            do += "; float16 is recipe.replace(mixed_precision=True)"
        if found != value:
            raise ValueError(
                f"Keras is set to {name} = {found!r}, expected {value!r}, or the same run would "
                f"give other numbers: {do}"
            )


@functools.cache
def end_with_parent() -> None:
    """Let a worker of joblib end within a second of its parent, even of a killed one."""
    pid = getattr(multiprocessing.parent_process(), "pid", None)

    def watch() -> None:
        while os.getppid() == pid:
            time.sleep(1)
        os._exit(1)

    if multiprocessing.current_process().name.startswith("Loky"):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
        threading.Thread(target=watch, daemon=True).start()


@functools.cache
def commit() -> str:
    """Return the commit that leukkit runs from, with ``+changes`` where files differ from it.

    Returns:
        Hexadecimal text of 12 places, or ``""`` where leukkit does not run from a git checkout.
    """
    checkout = pathlib.Path(__file__).resolve().parent.parent
    if not (checkout / ".git").exists():
        return ""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(checkout), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no", "--", "leukkit")
        return git("rev-parse", "--short=12", "HEAD") + "+changes" * bool(changed)
    except (FileNotFoundError, subprocess.CalledProcessError):  # no git, or a checkout of another
        return ""


@functools.cache
def hardware() -> str:
    """Return the machine for results, e.g. ``AMD EPYC, 2 cores, 24 GiB``."""
    info = pathlib.Path("/proc/cpuinfo")  # Linux; elsewhere Python knows
    names = re.findall(r"model name\s*:\s*(.+)", info.read_text()) if info.exists() else []
    processor = names[0] if names else platform.processor() or "processor unknown"
    found = f"{processor}, {usable_cores()} cores"
    if "SC_PHYS_PAGES" in getattr(os, "sysconf_names", {}):
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        found += f", {memory / 2**30:.0f} GiB"
    return found


def usable_cores() -> int | None:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def keep_to_share(number: int, of: int) -> None:
    """Leave this process, and those it starts, one of ``of`` equal shares of its cores.

    Processes side by side that each count on all cores take a fifth longer together than on a core
    each. Where there are fewer cores than shares, or the system cannot say, all is left as it is.

    Args:
        number: Of the share, from 0.
        of: How many processes run side by side.
    """
    if hasattr(os, "sched_getaffinity") and len(cores := sorted(os.sched_getaffinity(0))) >= of:
        os.sched_setaffinity(0, cores[number::of])


@functools.cache
def fingerprint(share: int = 1) -> str:
    """Return 16 hexadecimal digits that depend on how this machine and its packages compute.

    Libraries choose their code by the processor, so that sums are added in another order and the
    seventh digit differs; training and trees turn that into other predictions. Equal fingerprints
    make equal tables of scores likely, unequal ones make unequal digits certain.

    It is the hash of what two networks and their gradients give for fixed images and weights,
    computed in a process of its own (some seconds), of the number of cores, and of the versions of
    CLASSIFIERS: where networks compute the same, another XGBoost still grows other trees.

    Args:
        share: Of so many processes that run side by side: see `keep_to_share`.

    Raises:
        RuntimeError: The computation failed; its output says why.
    """
    # -P: nothing is imported from the current folder, whatever lies there.
    code = f"environment.keep_to_share(0, {share}); print(environment._compute_fingerprint())"
    code = f"import sys; sys.path.append(sys.argv[1]); from leukkit import environment; {code}"
    command = [sys.executable, "-P", "-c", code, str(pathlib.Path(__file__).parents[1])]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"this machine's digits could not be computed:\n{done.stderr[-2000:]}")
    versions = [_numbers(importlib.metadata.version(name))[:2] for name in CLASSIFIERS]
    return hashlib.sha256(f"{done.stdout.split()[-1]} {versions}".encode()).hexdigest()[:16]


class Source(str):
    """Python source: highlighted where a notebook displays it, plain text everywhere else."""

    __repr__ = str.__str__

    def _repr_markdown_(self) -> str:
        return f"```python\n{self}\n```"


def show_source(source: Callable) -> Source:
    """Return the source of a function or class, to be the last line of a notebook's cell.

    Raises:
        OSError: Its file is not there.
        TypeError: It is built into Python, or neither function, method nor class.
    """
    return Source(textwrap.dedent(inspect.getsource(source)).rstrip())


@contextlib.contextmanager
def _without_chatter() -> Iterator[None]:
    """Hold standard error back, also that of C++; afterwards pass on every line but CHATTER."""
    sys.stderr.flush()
    real = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(real, 2)
            os.close(real)
            held.seek(0)
            for line in held:
                if not CHATTER.search(line):
                    os.write(2, line)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def _compute_fingerprint() -> str:
    import keras
    import numpy as np
    import tensorflow

    from leukkit import models

    keras.utils.set_random_seed(0)
    tensorflow.config.experimental.enable_op_determinism()
    images = np.random.RandomState(0).randint(0, 256, (8, 48, 48, 3)).astype(np.float32)
    digest = hashlib.sha256(f"{usable_cores()} cores".encode())
    # Separable and full convolutions, normalization.
    for name, head in (("mobilenetv2", "pooled"), ("vgg16", "convolutions")):
        network = models.build(name, 2, 48, head=head)
        with tensorflow.GradientTape() as tape:
            probabilities = network(images, training=True)
            loss = tensorflow.reduce_sum(probabilities[:, 0] ** 2)
        for value in (probabilities, *tape.gradient(loss, network.trainable_variables)):
            digest.update(np.asarray(value).tobytes())
    return digest.hexdigest()[:16]
