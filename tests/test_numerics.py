import os
import subprocess
import sys

import pytest

from leukkit import numerics


def compute(**environment):
    """Return the fingerprint of a fresh process."""
    command = [sys.executable, "-m", "leukkit.numerics"]
    found = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    return found.stdout.split()[-1]


def test_the_same_machine_has_the_same_fingerprint_again():
    assert numerics.fingerprint() == compute()


@pytest.mark.skipif(sys.platform != "linux", reason="oneDNN is the default on Linux alone")
def test_another_order_of_adding_has_another_fingerprint():
    assert compute(TF_ENABLE_ONEDNN_OPTS="0") != numerics.fingerprint()
