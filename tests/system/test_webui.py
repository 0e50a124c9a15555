"""The web UI's endpoints of a real process: over TLS, on a certificate that it made itself."""

from __future__ import annotations

import socket
import ssl
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.system.webui_process import PASSWORD, Collection, WebProcess


@pytest.fixture
def process(tmp_path: Path) -> Iterator[WebProcess]:
    process = WebProcess(tmp_path)
    process.start()
    yield process
    process.stop()


def test_a_process_serves_over_tls_and_keeps_its_certificate(process: WebProcess) -> None:
    kept = process.directory / "webui.pem"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    made = kept.read_bytes()
    trusted = ssl.create_default_context(cafile=str(kept))
    with socket.create_connection(("127.0.0.1", process.web_port), 10) as plain:
        with trusted.wrap_socket(plain, server_hostname="127.0.0.1") as encrypted:
            assert encrypted.version() in ("TLSv1.2", "TLSv1.3")
    collection = Collection(process)
    body = {"network-policy": {"fq_name": ["default-domain", "default-project", "p"]}}
    assert collection.call("create-config-object", body).status_code == 200
    process.kill()
    process.start()
    assert kept.read_bytes() == made
    # The session was the dead process'; the object is there.
    assert collection.call("create-config-object", body).status_code == 401
    assert collection.uuid("network-policy", ["default-domain", "default-project", "p"])


def test_what_is_not_encrypted_gets_nothing(process: WebProcess) -> None:
    with pytest.raises(requests.ConnectionError):
        requests.post(f"http://127.0.0.1:{process.web_port}/authenticate", timeout=10)
    assert Collection(process).session.cookies["_csrf"]
    assert PASSWORD not in process.log
