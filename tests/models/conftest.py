"""Fixtures of the tests of the networks."""

import pytest

from leukkit.models import catalog


@pytest.fixture
def small_dex(monkeypatch):
    members = ("mobilenet-0.25", "resnet18", "shufflenet")
    monkeypatch.setattr(catalog, "DEX", members)
    return members
