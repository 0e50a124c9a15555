"""Passwords in objects: encrypted in the store, never told, readable with the key file only."""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.api.api_server import Api, serving

from tungsten.api import vault
from tungsten.api.resources.secrets import TYPES
from tungsten.api.vault import Unreadable, Vault, is_sealed
from tungsten.store import open_store
from tungsten.store.backup import backup

PASSWORD, COMMUNITY, PRIVACY = "Sw1tch-pass!", "c0mmun1ty-x", "pr1vacy-word"
NAME = ["default-global-system-config", "leaf1"]
ROUTER: dict[str, Any] = {
    "fq_name": NAME,
    "parent_type": "global-system-config",
    "physical_router_user_credentials": {"username": "root", "password": PASSWORD},
    "physical_router_snmp_credentials": {
        "version": 2,
        "v2_community": COMMUNITY,
        "v3_privacy_password": PRIVACY,
    },
}
SECRETS = (PASSWORD, COMMUNITY, PRIVACY)


def login(shown: dict[str, Any]) -> str:
    return str(shown["physical_router_user_credentials"]["password"])


def files_of(directory: Path) -> bytes:
    """All that the server keeps, but for its keys."""
    files = [one for one in directory.iterdir() if one.is_file() and not one.match("*-keys")]
    return b"".join(one.read_bytes() for one in files)


def told(directory: Path, *words: str, code: int = 0) -> str:
    url = f"sqlite:{directory / 'config.db'}"
    command = [sys.executable, "-m", "tungsten", "db", *words, "--store", url]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


async def test_nothing_shows_a_password(api: Api, tmp_path: Path) -> None:
    """Not an answer, a list, a watch, the history, the past, a plan, a backup, a file, a log."""
    router = await api.create("physical-router", **ROUTER)
    await api.put("physical-router", router, display_name="Leaf")
    query = "type=physical-router"
    seen = [await api.get(f"/physical-router/{router}")]
    seen.append(await api.get("/physical-routers?detail=true"))
    seen.append(await api.get(f"/history?{query}"))
    revision = (await api.get("/healthz"))["revision"]
    seen.append(await api.get(f"/past?{query}&revision={revision}"))
    seen.append((await api.post("/fetch-records", {})).json)
    changed = {**ROUTER, "display_name": "Other"}
    plan = await api.post("/plan", {"apply": [{"physical-router": changed}], "compile": False})
    seen.append(plan.json)
    document = {"physical-router": {**ROUTER, "fq_name": [NAME[0], "leaf2"]}}
    seen.append((await api.post("/plan", {"apply": [document], "compile": False})).json)
    url = f"{api.url}/watch?resource_type=physical_router"
    async with api.session.get(url) as stream:
        text = b""
        while b"leaf1" not in text:
            text += await stream.content.readany()
    await backup(api.store, tmp_path / "backup")
    everything = json.dumps(seen).encode() + text + files_of(tmp_path)
    assert b"leaf1" in everything
    for secret in SECRETS:
        assert secret.encode() not in everything
        assert base64.b64encode(secret.encode())[:-3] not in everything
    shown = seen[0]["physical-router"]
    assert is_sealed(login(shown))
    assert shown["physical_router_user_credentials"]["username"] == "root"
    assert shown["physical_router_encryption_type"] == "local"
    keys = tmp_path / "config.db-keys"
    assert keys.stat().st_mode & 0o777 == 0o600
    output = await asyncio.to_thread(told, tmp_path, "secrets", "physical-router", ":".join(NAME))
    assert output.splitlines() == [
        f"physical_router_user_credentials.password: {PASSWORD}",
        f"physical_router_snmp_credentials.v2_community: {COMMUNITY}",
        f"physical_router_snmp_credentials.v3_privacy_password: {PRIVACY}",
    ]


async def test_what_was_read_is_put_back_and_the_same_password_is_no_change(api: Api) -> None:
    router = await api.create("physical-router", **ROUTER)
    first = await api.show("physical-router", router)
    assert (await api.ask("PUT", f"/physical-router/{router}", {"physical-router": first})).json
    fields = {name: ROUTER[name] for name in ROUTER if name.endswith("credentials")}
    assert (await api.put("physical-router", router, **fields)).status == 200
    applied = await api.post("/apply", {"apply": [{"physical-router": ROUTER}]})
    assert [one["result"] for one in applied.json["objects"]] == ["unchanged"]
    assert await api.show("physical-router", router) == first
    new = {"username": "root", "password": "another"}
    await api.put("physical-router", router, physical_router_user_credentials=new)
    assert login(await api.show("physical-router", router)) != login(first)


async def test_an_encrypted_value_is_of_one_object_and_field(api: Api) -> None:
    """Who may only read a router cannot have its password sent to a device of their own."""
    router = await api.create("physical-router", **ROUTER)
    sealed = login(await api.show("physical-router", router))
    for field, value in (
        ("physical_router_user_credentials", {"username": "root", "password": sealed}),
        ("physical_router_snmp_credentials", {"v2_community": sealed}),
    ):
        document = {**ROUTER, "fq_name": [NAME[0], "mine"], field: value}
        refused = await api.post("/physical-routers", {"physical-router": document})
        assert refused.status == 400
        assert f"{field}." in refused.text
        assert "encrypted for another object" in refused.text
        assert sealed not in refused.text
    moved = {"v2_community": sealed}
    assert (
        await api.put("physical-router", router, physical_router_snmp_credentials=moved)
    ).status == 400
    for broken in (sealed[:-4], sealed[:-8] + "AAAA" + sealed[-4:], "enc:1:", "enc:1:00000000:AA"):
        one = {"username": "root", "password": broken}
        refused = await api.put("physical-router", router, physical_router_user_credentials=one)
        assert refused.status == 400, broken


async def test_every_type_that_has_secrets(api: Api) -> None:
    login_ = {"credential": {"username": "root", "password": PASSWORD}, "vendor": "Juniper"}
    bodies: dict[str, dict[str, Any]] = {
        "fabric": {
            "fq_name": [NAME[0], "f1"],
            "parent_type": "global-system-config",
            "fabric_credentials": {"device_credential": [login_, {**login_, "vendor": "X"}]},
        },
        "node": {
            "fq_name": [NAME[0], "n1"],
            "parent_type": "global-system-config",
            "esxi_info": {"password": PASSWORD},
            "bms_info": {"driver_info": {"ipmi_password": PASSWORD}},
        },
        "physical-router": ROUTER,
        "service-appliance": {
            "fq_name": [NAME[0], "set", "a1"],
            "parent_type": "service-appliance-set",
            "service_appliance_user_credentials": {"username": "u", "password": PASSWORD},
        },
    }
    assert set(bodies) == set(TYPES)
    await api.create(
        "service-appliance-set", fq_name=[NAME[0], "set"], parent_type="global-system-config"
    )
    for type_, body in bodies.items():
        uuid = await api.create(type_, **body)
        shown = json.dumps(await api.show(type_, uuid))
        assert PASSWORD not in shown, type_
        assert "enc:1:" in shown, type_
        assert (await api.post("/apply", {"apply": [{type_: body}]})).json["objects"][0][
            "result"
        ] == "unchanged"
    # An element of a list property, too.
    fabric = (await api.get("/fabrics?filters=name=='f1'"))["fabrics"][0]["uuid"]
    add = {
        "uuid": fabric,
        "updates": [
            {"field": "fabric_credentials", "operation": "add", "value": login_, "position": "2"}
        ],
    }
    assert (await api.post("/prop-collection-update", add)).status == 200
    assert PASSWORD not in json.dumps(await api.show("fabric", fabric))


async def test_a_new_key_encrypts_everything_at_the_next_start(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        router = await api.create("physical-router", **ROUTER)
        old = await api.show("physical-router", router)
    name = ":".join(NAME)
    assert "is first; restart the API servers" in await asyncio.to_thread(told, tmp_path, "new-key")
    async with serving(tmp_path) as api:
        new = await api.show("physical-router", router)
        assert login(new)[: len("enc:1:") + 8] != login(old)[: len("enc:1:") + 8]
        # What was read before is not lost, and is no plain text.
        assert (await api.put("physical-router", router, display_name="x")).status == 200
    keys = tmp_path / "config.db-keys"
    first = next(one for one in keys.read_text().splitlines() if not one.startswith("#"))
    keys.write_text(first + "\n")
    async with serving(tmp_path) as api:
        assert login(await api.show("physical-router", router)) == login(new)
    assert PASSWORD in await asyncio.to_thread(told, tmp_path, "secrets", "physical-router", name)
    # With other keys nothing is lost either: it is told, and objects can be written.
    keys.unlink()
    async with serving(tmp_path) as api:
        assert login(await api.show("physical-router", router)) == login(new)
        assert (await api.put("physical-router", router, display_name="y")).status == 200
    output = await asyncio.to_thread(told, tmp_path, "secrets", "physical-router", name, code=1)
    assert "its key is not in the key file" in output


async def test_what_was_kept_as_it_was_sent_is_encrypted_at_the_start(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        router = await api.create("physical-router", **ROUTER)
    store = open_store(f"sqlite:{tmp_path / 'config.db'}")
    record = await store.read(lambda tx: tx.get(router))
    assert record is not None
    body = json.loads(record.body)
    body["physical_router_user_credentials"]["password"] = PASSWORD
    plain = type(record)(
        **{
            **{name: getattr(record, name) for name in record.__match_args__},
            "body": json.dumps(body).encode(),
        }
    )
    await store.transact(lambda tx: tx.update(plain))
    await store.close()
    async with serving(tmp_path) as api:
        assert is_sealed(login(await api.show("physical-router", router)))


async def test_keys_that_cannot_be_used_keep_the_server_from_starting(tmp_path: Path) -> None:
    keys = tmp_path / "config.db-keys"
    good = base64.urlsafe_b64encode(bytes(32)).decode()
    for text, mode, reason in (
        (good, 0o644, "chmod 600"),
        ("", 0o600, "has no key"),
        (f"# keys\n{good}\nc2hvcnQ=\n", 0o600, "line 3 is no key"),
        ("\udcff", 0o600, "line 1 is no key"),
    ):
        keys.write_bytes(text.encode("utf-8", "surrogateescape"))
        keys.chmod(mode)
        with pytest.raises(ValueError, match=f"api.secrets_key_file: .*{reason}") as caught:
            async with serving(tmp_path):
                pass
        assert good not in str(caught.value)


@given(text=st.text(), other=st.binary(max_size=80))
def test_a_vault_opens_what_it_sealed_and_nothing_else(text: str, other: bytes) -> None:
    one = Vault([bytes(range(32))])
    sealed = one.seal(text, "here")
    assert one.open(sealed, "here") == text
    assert one.seal(text, "here") != sealed
    assert (len(base64.urlsafe_b64decode(sealed.rpartition(":")[2])) - 28) % vault.BLOCK == 0
    for key, where, said in (
        (bytes(32), "here", sealed),
        (bytes(range(32)), "there", sealed),
        (bytes(range(32)), "here", sealed[:15] + base64.urlsafe_b64encode(other).decode()),
        (bytes(range(32)), "here", text),
    ):
        with pytest.raises(Unreadable):
            Vault([key]).open(said, where)
