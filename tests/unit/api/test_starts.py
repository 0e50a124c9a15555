"""What a start of the server leaves as it was (field problem F22)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.unit.api.api_server import Api, serving

SETTINGS: dict[str, dict[str, Any]] = {
    "global-system-config": {"autonomous_system": 64999, "display_name": "ours"},
    "global-vrouter-config": {
        "vxlan_network_identifier_mode": "configured",
        "encapsulation_priorities": {"encapsulation": ["VXLAN", "MPLSoUDP"]},
    },
}


async def _all(api: Api) -> dict[str, Any]:
    """All that is there, by type."""
    found = (await api.post("/fetch-records", {})).json["results"]
    return {one["uuid"]: one for ones in found for one in ones}


async def test_a_start_sets_nothing_back(tmp_path: Path) -> None:
    """Neither what people set in the objects that a server makes, nor anything else."""
    async with serving(tmp_path) as api:
        for type_, fields in SETTINGS.items():
            ((one, *_),) = (await api.get(f"/{type_}s")).values()
            assert (await api.put(type_, one["uuid"], **fields)).status == 200
        before, revision = await _all(api), (await api.get("/healthz"))["revision"]
    for _ in range(2):
        async with serving(tmp_path) as api:
            assert await _all(api) == before
            assert (await api.get("/healthz"))["revision"] == revision
            for type_, fields in SETTINGS.items():
                ((one, *_),) = (await api.get(f"/{type_}s?detail=true")).values()
                assert fields.items() <= one[type_].items()
