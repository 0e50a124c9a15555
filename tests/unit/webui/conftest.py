from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.unit.api.api_server import PROJECT
from tests.unit.webui.web import Bed, Web, web_bed


@pytest.fixture
async def bed(tmp_path: Path) -> AsyncIterator[Bed]:
    """An API with the tests' project, and the endpoints."""
    async with web_bed(tmp_path) as bed:
        await bed.api.create("project", fq_name=PROJECT, parent_type="domain")
        yield bed


@pytest.fixture
async def web(bed: Bed) -> Web:
    """The administrator, logged in."""
    web = bed.browser()
    assert (await web.login()).status == 200
    return web
