"""etcd behind TLS and passwords: what is needed is asked for, and no secret is shown."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from aetcd.rpc import rpc_pb2 as pb
from aetcd.rpc import rpc_pb2_grpc as stubs
from tests.unit.store.store_samples import record

from tungsten.store import EtcdOptions
from tungsten.store.base import StoreUnusable
from tungsten.store.etcd import EtcdStore
from tungsten.store.etcd_client import Access, Connection
from tungsten.testing.etcd import EtcdCluster

SECRET = "s3cr3t-Pa55"


@dataclass
class Papers:
    """PEM files: a CA, and a key and certificate that it signed for 127.0.0.1."""

    ca: Path
    certificate: Path
    key: Path


def openssl(*words: str) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    where = tmp_path_factory.mktemp("papers")
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
def secured(papers: Papers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdCluster]:
    """An etcd that wants its clients' certificates."""
    options = ["--cert-file", str(papers.certificate), "--key-file", str(papers.key)]
    options += ["--trusted-ca-file", str(papers.ca), "--client-cert-auth"]
    directory = tmp_path_factory.mktemp("secured") / "etcd"
    with EtcdCluster(directory, options=options, scheme="https") as running:
        yield running


def opened(cluster: EtcdCluster, options: EtcdOptions) -> EtcdStore:
    return EtcdStore.open(f"{cluster.endpoints}/secured", options=options)


async def test_with_its_papers_a_store_is_opened_over_tls(
    secured: EtcdCluster, papers: Papers
) -> None:
    options = EtcdOptions(
        ca=papers.ca, certificate=papers.certificate, key=papers.key, allow_unpatched=True
    )
    store = opened(secured, options)
    await store.transact(lambda tx: tx.create(record(1)))
    assert len((await store.load())[1]) == 1
    await store.close()


def test_without_its_papers_a_store_is_not_opened(
    secured: EtcdCluster, papers: Papers, tmp_path: Path
) -> None:
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


def require_passwords(endpoint: str) -> None:
    """Make the user root with the password, and switch authentication on."""
    connection = Connection(Access((endpoint,), EtcdOptions()), endpoint)
    auth = stubs.AuthStub(connection._channel)
    connection.call(auth.UserAdd, pb.AuthUserAddRequest(name="root", password=SECRET))
    connection.call(auth.RoleAdd, pb.AuthRoleAddRequest(name="root"))
    connection.call(auth.UserGrantRole, pb.AuthUserGrantRoleRequest(user="root", role="root"))
    connection.call(auth.AuthEnable, pb.AuthEnableRequest())
    connection.close()


async def test_passwords_are_used_and_never_shown(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
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
