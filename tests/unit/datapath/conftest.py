"""The rig, made once a module, and reset for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.unit.datapath import datapath_rig


@pytest.fixture(scope="module")
def _module_rig() -> Iterator[datapath_rig.Rig]:
    with datapath_rig.rig() as made:
        yield made


@pytest.fixture
def rig(_module_rig: datapath_rig.Rig) -> datapath_rig.Rig:
    """The host, with its tables as `datapath_rig` fills them."""
    _module_rig.reset()
    return _module_rig
