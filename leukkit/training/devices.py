"""Which devices train, and how they are told to give the same numbers twice."""

import functools
import json
import multiprocessing
import os
from typing import Any

from leukkit import environment

LOGICAL_CPUS = "LEUKKIT_LOGICAL_CPUS"


class TrainingError(RuntimeError):
    """Training cannot start or go on; the message says where, and what to do."""


@functools.cache
def strategy() -> Any:
    """Return how training is spread over devices; networks are made and fitted in its scope.

    Several GPUs of this machine are mirrored: each holds the weights and gets its part of every
    batch. One device, GPU or CPU, needs no strategy and gets TensorFlow's default one.
    ``LEUKKIT_LOGICAL_CPUS=2`` divides the CPU in two, to try out the first case without GPUs.

    Returns:
        A ``tf.distribute.Strategy``.

    Raises:
        TrainingError: ``TF_CONFIG`` names several processes, which Keras 3 cannot train; or
            TensorFlow was already at work when the CPU was to be divided.
    """
    _refuse_several_processes()
    import tensorflow as tf

    if multiprocessing.current_process().name.startswith("Loky"):
        # A joblib worker's share of the cores, which TensorFlow alone does not heed.
        os.environ.setdefault("TF_NUM_INTRAOP_THREADS", os.environ["OMP_NUM_THREADS"])
    gpus = tf.config.list_physical_devices("GPU")
    if len(gpus) > 1:
        return tf.distribute.MirroredStrategy()
    number = int(os.environ.get(LOGICAL_CPUS) or 1)
    if number > 1:
        _divide_cpu(tf, number)
        return tf.distribute.MirroredStrategy([f"/cpu:{index}" for index in range(number)])
    return tf.distribute.get_strategy()


def describe(the_strategy: Any) -> str:
    """Return what a network's digits rest on, e.g. ``"2 x CPU, mirrored, threads: 1"``."""
    import tensorflow as tf

    number = the_strategy.num_replicas_in_sync
    mirrored = ", mirrored" * (number > 1)
    for gpu in tf.config.list_physical_devices("GPU"):
        name = tf.config.experimental.get_device_details(gpu).get("device_name", "GPU")
        return f"{number} x {name}{mirrored}"
    threads = tf.config.threading.get_intra_op_parallelism_threads()  # 0: TensorFlow's default
    threads = threads or int(os.environ.get("TF_NUM_INTRAOP_THREADS") or 0)
    return f"{number} x CPU{mirrored}, threads: {threads or environment.usable_cores()}"


def make_repeatable(seed: int, deterministic: bool) -> None:
    """Seed what draws numbers; if ``deterministic``, also take only operations that repeat.

    TensorFlow has no way back from the second for the rest of the process.
    """
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(seed)
    if deterministic:
        tf.config.experimental.enable_op_determinism()


def _refuse_several_processes():
    cluster = json.loads(os.environ.get("TF_CONFIG") or "{}").get("cluster", {})
    processes = sum(len(addresses) for addresses in cluster.values())
    if processes > 1:
        raise TrainingError(
            f"TF_CONFIG names {processes} processes, and Keras 3 cannot train one network over "
            "several (keras-team/keras#20585). Unset TF_CONFIG; to use several machines, run folds "
            "and models side by side instead: with joblib.parallel_config(backend='dask'): …"
        )


def _divide_cpu(tf, number):
    cpu = tf.config.list_physical_devices("CPU")[0]
    parts = [tf.config.LogicalDeviceConfiguration()] * number
    try:
        tf.config.set_logical_device_configuration(cpu, parts)
    except RuntimeError as error:
        raise TrainingError(
            f"{LOGICAL_CPUS}={number} came too late: TensorFlow is already at work. Restart Python "
            "(or the kernel) and call leukkit.training.strategy() first"
        ) from error
