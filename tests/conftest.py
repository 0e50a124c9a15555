"""What every test can use: fresh namespaces, and a house cleaned of what killed runs left."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from hypothesis import settings

from tests.pins import reap_pin_folders
from tungsten.lab import netns

# How long an example takes says how busy the machine is, nothing about what is tested. The same
# examples each time: a change is judged by what it changed. New ones are for `make explore`.
settings.register_profile("tungsten", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, derandomize=False, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "tungsten"))


@pytest.fixture(scope="session", autouse=True)
def _reap_orphans() -> None:
    """Remove namespaces and mounts whose maker died before it could."""
    if os.geteuid() == 0:
        netns.reap_orphans()
        reap_pin_folders()


@pytest.fixture
def make_namespaces() -> Iterator[Callable[..., list[netns.Namespace]]]:
    """A function that makes namespaces by label: ``a, b = make_namespaces("a", "b")``."""
    with ExitStack() as stack:
        yield lambda *labels: stack.enter_context(netns.namespaces(*labels))
