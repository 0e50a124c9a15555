from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.unit.api.api_server import Api, serving


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    """A server with a project to work in."""
    async with serving(tmp_path) as api:
        await api.project()
        yield api
