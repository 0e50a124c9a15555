"""A real Keystone on the loopback address, with a database and keys of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

ROOT = Path(__file__).parents[2]
PROGRAMS = ROOT / ".build/keystone/bin"
PATIENCE = 60.0

SERVE = """
import sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIServer, make_server
port = int(sys.argv.pop())
from keystone.server.wsgi import initialize_public_application
class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
application = initialize_public_application()
make_server("127.0.0.1", port, application, server_class=Server).serve_forever()
"""

CONFIGURATION = """
[DEFAULT]
use_stderr = true
[database]
connection = sqlite:///{directory}/keystone.db
[identity]
password_hash_rounds = 4
[token]
provider = fernet
[fernet_tokens]
key_repository = {directory}/tokens
[fernet_receipts]
key_repository = {directory}/tokens
[credential]
key_repository = {directory}/credentials
"""


class RealKeystone:
    """A running Keystone, and what is made in it by its administrator."""

    def __init__(self, url: str, password: str) -> None:
        self.url = url
        self.admin = self.token("admin", password, "admin")

    def token(self, user: str, password: str, project: str) -> str:
        """A token of a user in a project."""
        domain = {"name": "Default"}
        said = {"name": user, "domain": domain, "password": password}
        identity = {"methods": ["password"], "password": {"user": said}}
        scope = {"project": {"name": project, "domain": domain}}
        answer = self._ask("POST", "/auth/tokens", {"auth": {"identity": identity, "scope": scope}})
        return answer.headers["X-Subject-Token"]

    def revoke(self, token: str) -> None:
        """Make a token invalid."""
        self._ask("DELETE", "/auth/tokens", None, {"X-Subject-Token": token})

    def make(self, kind: str, **fields: Any) -> str:
        """Make an object; its id."""
        return str(self._ask("POST", f"/{kind}s", {kind: fields}).json()[kind]["id"])

    def role(self, name: str) -> str:
        """The id of a role, made if it is missing."""
        found = self._ask("GET", f"/roles?name={name}").json()["roles"]
        return str(found[0]["id"]) if found else self.make("role", name=name)

    def member(self, user: str, password: str, project: str, role: str) -> str:
        """Make a user with a role in a new project; the project's id."""
        project_id = self.make("project", name=project, domain_id="default")
        user_id = self.make("user", name=user, password=password, domain_id="default")
        path = f"/projects/{project_id}/users/{user_id}/roles/{self.role(role)}"
        self._ask("PUT", path)
        return project_id

    def _ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> requests.Response:
        sent = {"X-Auth-Token": getattr(self, "admin", ""), **(headers or {})}
        answer = requests.request(
            method, self.url + "/v3" + path, json=body, headers=sent, timeout=30
        )
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer


@contextmanager
def keystone_running(directory: Path) -> Iterator[RealKeystone]:
    """A Keystone with an administrator, ended afterwards."""
    program = PROGRAMS / "keystone-manage"
    assert program.exists(), f"{program} is missing: 'make install-test' makes it"
    configuration = directory / "keystone.conf"
    configuration.write_text(CONFIGURATION.format(directory=directory))
    environment = {
        **os.environ,
        "OS_KEYSTONE_CONFIG_DIR": str(directory),
        "OS_BOOTSTRAP_PASSWORD": "canary-bootstrap",
        "PYTHONWARNINGS": "ignore",
    }
    owner = ["--keystone-user", "root", "--keystone-group", "root"]
    for name in ("tokens", "credentials"):
        (directory / name).mkdir(mode=0o700)
    for words in (
        ["db_sync"],
        ["fernet_setup", *owner],
        ["credential_setup", *owner],
        ["bootstrap"],
    ):
        argv = [str(program), "--config-file", str(configuration), *words]
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with (directory / "keystone.log").open("wb") as log:
        argv = [str(PROGRAMS / "python"), "-c", SERVE, str(port)]
        server = subprocess.Popen(argv, env=environment, stdout=log, stderr=log)
    try:
        _wait(server, port, directory / "keystone.log")
        yield RealKeystone(f"http://127.0.0.1:{port}", "canary-bootstrap")
    finally:
        server.kill()
        server.wait()


def _wait(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        assert server.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        try:
            requests.get(f"http://127.0.0.1:{port}/v3", timeout=10)
        except requests.ConnectionError:
            time.sleep(0.1)
        else:
            return
