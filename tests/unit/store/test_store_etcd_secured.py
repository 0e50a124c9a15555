"""etcd behind TLS and passwords: what is needed is asked for, and no secret is shown."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import grpc
import pytest
from aetcd.rpc import rpc_pb2 as pb
from aetcd.rpc import rpc_pb2_grpc as stubs
from tests.unit.store.store_samples import record, take, uuid_of

from tungsten.store import EtcdOptions
from tungsten.store.base import StoreError, StoreUnusable, Transaction
from tungsten.store.etcd import EtcdStore
from tungsten.store.etcd_client import Access, Connection, is_patched, translated
from tungsten.testing.etcd import EtcdCluster

SECRET = "s3cr3t-Pa55"


@dataclass
class Papers:
    """PEM files: a CA, and a key and certificate that it signed for 127.0.0.1."""

    ca: Path
    certificate: Path
    key: Path

    @property
    def options(self) -> EtcdOptions:
        """To reach an etcd with them."""
        return EtcdOptions(
            ca=self.ca, certificate=self.certificate, key=self.key, allow_unpatched=True
        )

    def become(self, other: Papers) -> None:
        """Put another's in their place, one after the other, as an administrator would."""
        for own, new in (
            (self.certificate, other.certificate),
            (self.key, other.key),
            (self.ca, other.ca),
        ):
            own.write_bytes(new.read_bytes())


def openssl(*words: str) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)


def issue(where: Path) -> Papers:
    """Fresh ones, of a CA of their own."""
    where.mkdir(exist_ok=True)
    made = Papers(where / "ca.pem", where / "one.pem", where / "one.key")
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    authority = where / "ca.key"
    openssl(
        *("req", "-x509", *curve, "-keyout", str(authority), "-out", str(made.ca)),
        *("-subj", "/CN=test CA", "-days", "2"),
    )
    openssl(
        *("req", "-x509", *curve, "-keyout", str(made.key), "-out", str(made.certificate)),
        *("-subj", "/CN=one", "-days", "2", "-addext", "subjectAltName=IP:127.0.0.1"),
        *("-CA", str(made.ca), "-CAkey", str(authority)),
        *("-addext", "basicConstraints=critical,CA:FALSE"),
    )
    return made


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    return issue(tmp_path_factory.mktemp("papers"))


def server_options(papers: Papers) -> list[str]:
    """An etcd that has these papers and wants such of its clients."""
    options = ["--cert-file", str(papers.certificate), "--key-file", str(papers.key)]
    return [*options, "--trusted-ca-file", str(papers.ca), "--client-cert-auth"]


@pytest.fixture(scope="module")
def secured(papers: Papers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdCluster]:
    """An etcd that wants its clients' certificates."""
    directory = tmp_path_factory.mktemp("secured") / "etcd"
    with EtcdCluster(directory, options=server_options(papers), scheme="https") as running:
        yield running


def opened(cluster: EtcdCluster, options: EtcdOptions) -> EtcdStore:
    return EtcdStore.open(f"{cluster.endpoints}/secured", options=options)


async def test_with_its_papers_a_store_is_opened_over_tls(
    secured: EtcdCluster, papers: Papers
) -> None:
    """C-04."""
    store = opened(secured, papers.options)
    await store.transact(lambda tx: tx.create(record(1)))
    assert len((await store.load())[1]) == 1
    await store.close()


def test_without_its_papers_a_store_is_not_opened(
    secured: EtcdCluster, papers: Papers, tmp_path: Path
) -> None:
    """C-04."""
    with pytest.raises(StoreUnusable, match="cannot be opened"):
        opened(secured, EtcdOptions(allow_unpatched=True))
    with pytest.raises(StoreUnusable, match="cannot be opened"):
        opened(secured, EtcdOptions(ca=papers.ca, allow_unpatched=True))
    with pytest.raises(StoreUnusable, match="needs its key"):
        opened(secured, EtcdOptions(ca=papers.ca, certificate=papers.certificate))
    with pytest.raises(StoreUnusable, match="TLS would be off"):
        opened(secured, EtcdOptions(certificate=papers.certificate, key=papers.key))
    bad = tmp_path / "bad"
    bad.write_text(SECRET)
    with pytest.raises(StoreUnusable, match="does not hold a line user:password") as caught:
        opened(secured, EtcdOptions(credentials=bad))
    assert SECRET not in str(caught.value)


def require_passwords(endpoint: str, options: EtcdOptions | None = None) -> None:
    """Make the user root with the password, and switch authentication on."""
    connection = Connection(Access((endpoint,), options or EtcdOptions()), endpoint)
    auth = stubs.AuthStub(connection._channel)
    connection.call(auth.UserAdd, pb.AuthUserAddRequest(name="root", password=SECRET))
    connection.call(auth.RoleAdd, pb.AuthRoleAddRequest(name="root"))
    connection.call(auth.UserGrantRole, pb.AuthUserGrantRoleRequest(user="root", role="root"))
    connection.call(auth.AuthEnable, pb.AuthEnableRequest())
    connection.close()


async def test_passwords_are_used_and_never_shown(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """C-04."""
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    right.write_text(f"root:{SECRET}\n")
    wrong.write_text(f"root:{SECRET}-not\n")
    with EtcdCluster(tmp_path / "etcd") as cluster:
        require_passwords(cluster.endpoints)
        for credentials in (None, wrong):
            options = EtcdOptions(credentials=credentials, allow_unpatched=True)
            with pytest.raises(StoreUnusable, match="refuses our credentials") as caught:
                opened(cluster, options)
            assert SECRET not in str(caught.value)
        store = opened(cluster, EtcdOptions(credentials=right, allow_unpatched=True))
        await store.transact(lambda tx: tx.create(record(1)))
        store._cluster._tokens = {cluster.endpoints: (("token", "expired.1"),)}
        await store.transact(lambda tx: tx.create(record(2)))
        assert len((await store.load())[1]) == 2
        assert SECRET not in repr(store._access)
        await store.close()
    output = capfd.readouterr()
    assert SECRET not in output.out + output.err


async def test_new_certificates_are_used_without_a_restart(tmp_path: Path) -> None:
    """C-04: while the files change nothing fails, and then etcd may know the new ones only."""
    etcds, ours, new = (issue(tmp_path / name) for name in ("etcd", "ours", "new"))
    ours.become(etcds)
    with EtcdCluster(tmp_path / "data", options=server_options(etcds), scheme="https") as cluster:
        store = opened(cluster, ours.options)
        await store.transact(lambda tx: tx.create(record(1)))
        watch = store.watch(await store.read(lambda s: s.revision))
        generation, watches = store._access.generation, store._follower.watches
        for path in (ours.certificate, ours.key):
            path.write_bytes((tmp_path / "etcd" / path.name).read_bytes())
        async with asyncio.timeout(10):
            while store._access.generation == generation or store._follower.watches == watches:
                await store.transact(partial(touch, number=1))
        ours.key.write_bytes(new.key.read_bytes())  # of another certificate
        await asyncio.sleep(1.5)
        await store.transact(partial(touch, number=1))
        assert not store.stale
        (member,) = cluster.members
        member.kill()
        etcds.become(new)
        ours.become(new)
        cluster.start_member(member)
        async with asyncio.timeout(20):
            while True:
                with suppress(StoreError):
                    await store.transact(partial(touch, number=2))
                    break
        last = await store.read(lambda s: s.revision)
        seen = await take(watch, last)
        assert [one.revision for one in seen] == sorted({one.revision for one in seen})
        assert {r.uuid for r in (await store.load())[1]} == {uuid_of(1), uuid_of(2)}
        await store.close()


def touch(tx: Transaction, number: int) -> None:
    """Create a record, or change it."""
    there = tx.get(uuid_of(number))
    if there is None:
        tx.create(record(number))
    else:
        tx.update(record(number, body=b"%d" % (len(there.body) % 7)))


async def test_certificates_and_passwords_go_together_and_passwords_are_changed(
    tmp_path: Path, papers: Papers, capfd: pytest.CaptureFixture[str]
) -> None:
    """C-04: an etcd that wants both; a new password is taken from the file while it runs."""
    credentials = tmp_path / "credentials"
    credentials.write_text(f"root:{SECRET}\n")
    options = replace(papers.options, credentials=credentials)
    with EtcdCluster(tmp_path / "data", options=server_options(papers), scheme="https") as cluster:
        require_passwords(cluster.endpoints, papers.options)
        with pytest.raises(StoreUnusable, match="refuses our credentials"):
            opened(cluster, replace(options, credentials=None))
        store = opened(cluster, options)
        await store.transact(lambda tx: tx.create(record(1)))
        change = pb.AuthUserChangePasswordRequest(name="root", password=f"{SECRET}-new")
        await store.ask("Auth", "UserChangePassword", change)
        credentials.write_text(f"root:{SECRET}-new\n")
        async with asyncio.timeout(10):
            while store._access.generation == 0:
                await asyncio.sleep(0.05)
        await store.transact(lambda tx: tx.create(record(2)))
        assert len((await store.load())[1]) == 2
        await store.close()
    output = capfd.readouterr()
    assert SECRET not in output.out + output.err


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_a_member_that_is_away_is_told_in_plain_words(host: str) -> None:
    access = Access((f"{host}:1",), EtcdOptions())
    assert f"{access}" == f"{host}:1"
    with access.channel(f"{host}:1") as channel, pytest.raises(grpc.RpcError) as refused:
        stubs.MaintenanceStub(channel).Status(pb.StatusRequest(), timeout=10)
    said = str(translated(refused.value, f"{host}:1"))
    assert said.startswith(f"etcd at {host}:1 did not serve: no connection: ")
    for word in ("ipv4:", "ipv6:", "UNKNOWN", "UNAVAILABLE", "Failed"):
        assert word not in said


def test_papers_that_do_not_go_together_are_refused(papers: Papers, tmp_path: Path) -> None:
    other = issue(tmp_path / "other")
    with pytest.raises(StoreUnusable, match="do not belong together"):
        Access(("h:1",), replace(papers.options, key=other.key))
    bad = tmp_path / "bad.pem"
    bad.write_text("nothing")
    with pytest.raises(StoreUnusable, match="has no certificate"):
        Access(("h:1",), replace(papers.options, ca=bad))


@pytest.mark.parametrize(
    ("version", "patched"),
    [
        ("3.4.23", False),
        ("3.5.32", False),
        ("3.5.33", True),
        ("3.6.13", False),
        ("3.6.14", True),
        ("3.7.0", False),
        ("3.7.1", True),
        ("3.8.0", True),
        ("4.0.0-rc.1", True),
        ("nonsense", False),
    ],
)
def test_versions_with_known_holes_are_told_apart(version: str, patched: bool) -> None:
    """C-06."""
    assert is_patched(version) is patched
