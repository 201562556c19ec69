"""Fixtures of the tests of the networks."""

import pytest

from leukkit.models import networks


@pytest.fixture
def small_dex(monkeypatch):
    members = ("mobilenet-0.25", "resnet18", "shufflenet")
    monkeypatch.setattr(networks, "DEX", members)
    return members
