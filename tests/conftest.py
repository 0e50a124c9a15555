"""What every test can use: fresh namespaces, and a house cleaned of what killed runs left."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from tests.pins import reap_pin_folders
from tungsten.lab import netns


@pytest.fixture(scope="session", autouse=True)
def _reap_orphans() -> None:
    """Remove namespaces and mounts whose maker died before it could."""
    if os.geteuid() == 0:
        netns.reap_orphans()
        reap_pin_folders()


@pytest.fixture
def make_namespaces() -> Iterator[Callable[..., list[netns.Namespace]]]:
    """A function that makes namespaces by label: ``a, b = make_namespaces("a", "b")``."""
    made: list[netns.Namespace] = []

    def make(*labels: str) -> list[netns.Namespace]:
        prefix = netns.unique_prefix()
        fresh = [netns.Namespace(f"{prefix}-{label}") for label in labels]
        for namespace in fresh:
            made.append(namespace)
            namespace.create()
        return fresh

    try:
        yield make
    finally:
        for namespace in made:
            namespace.delete(grace=0.5)
