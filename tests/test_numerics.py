import sys

import pytest

from leukkit import numerics

compute = numerics.fingerprint.__wrapped__  # in a fresh process, whatever was computed before


def test_the_same_machine_has_the_same_fingerprint_again():
    assert numerics.fingerprint() == compute()


@pytest.mark.skipif(sys.platform != "linux", reason="oneDNN is the default on Linux alone")
def test_another_order_of_adding_has_another_fingerprint(monkeypatch):
    here = numerics.fingerprint()
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    assert compute() != here
