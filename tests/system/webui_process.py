"""A ``tungsten api`` that serves the web UI's endpoints, and what the collection does there."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import requests

PASSWORD = "canary-collection-password"
PATIENCE = 60.0
TIMEOUT = 30


class WebProcess:
    """API and endpoints in a process of their own, on a store in ``directory``."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        with socket.create_server(("127.0.0.1", 0)) as one:
            with socket.create_server(("127.0.0.1", 0)) as other:
                self.port, self.web_port = one.getsockname()[1], other.getsockname()[1]
        self.api = f"http://127.0.0.1:{self.port}/"
        self.web = f"https://127.0.0.1:{self.web_port}/"
        self._process: subprocess.Popen[bytes] | None = None
        password = directory / "password"
        password.write_text(PASSWORD)
        password.chmod(0o600)

    @property
    def log(self) -> str:
        """What the processes so far have logged."""
        return (self.directory / "web.log").read_text()

    def start(self) -> None:
        """Start, and wait until connections are accepted."""
        argv = [str(Path(sys.executable).with_name("tungsten")), "api"]
        for one in (
            f"api.listen=127.0.0.1:{self.port}",
            "api.introspect_listen=",
            f"api.admin_password_file={self.directory / 'password'}",
            f"store.url=sqlite:{self.directory / 'config.db'}",
            f"webui.listen=127.0.0.1:{self.web_port}",
            f"webui.state_directory={self.directory}",
        ):
            argv += ["--set", one]
        with (self.directory / "web.log").open("ab") as log:
            self._process = subprocess.Popen(argv, stdout=log, stderr=log, env=dict(os.environ))
        deadline = time.monotonic() + PATIENCE
        while True:
            assert self._process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            try:
                socket.create_connection(("127.0.0.1", self.web_port), 1).close()
            except OSError:
                time.sleep(0.1)
            else:
                return

    def kill(self) -> None:
        """End the process without warning."""
        assert self._process is not None
        self._process.kill()
        assert -self._process.wait(PATIENCE) == signal.SIGKILL

    def stop(self) -> None:
        """Ask the process to end, then make it."""
        if self._process is not None:
            self._process.terminate()
            try:
                assert self._process.wait(PATIENCE) == 0, self.log
            finally:
                self._process.kill()
                self._process.wait()


class Collection:
    """The requests of a module of the collection: look up, log in, read, write."""

    def __init__(self, process: WebProcess) -> None:
        self._process = process
        self.session = requests.Session()
        answer = self._post("authenticate", {"username": "admin", "password": PASSWORD})
        assert answer.status_code == 200, answer.text

    def _post(self, path: str, body: Any, method: str = "POST") -> requests.Response:
        headers: dict[str, Any] = {"Content-Type": "application/json", "charset": "UTF-8"}
        if "_csrf" in self.session.cookies:
            headers["x-csrf-token"] = self.session.cookies["_csrf"]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the collection does not verify certificates
            return self.session.request(
                method,
                self._process.web + path,
                json=body,
                headers=headers,
                verify=False,
                timeout=TIMEOUT,
            )

    def call(self, name: str, body: Any, method: str = "POST") -> requests.Response:
        """A call to the configuration."""
        return self._post(f"api/tenants/config/{name}", body, method)

    def api(self, method: str, path: str, body: Any = None) -> requests.Response:
        """A call to the API itself."""
        return requests.request(method, self._process.api + path, json=body, timeout=TIMEOUT)

    def uuid(self, type_: str, fq_name: list[str]) -> str | None:
        """The uuid of a name; None when there is none."""
        answer = self.api("POST", "fqname-to-id", {"type": type_, "fq_name": fq_name})
        assert answer.status_code in (200, 404), answer.text
        return answer.json()["uuid"] if answer.status_code == 200 else None

    def read(self, type_: str, uuid: str) -> dict[str, Any]:
        """What a module updates: the object in its envelope."""
        answer = self.call("get-config-objects", {"data": [{"type": type_, "uuid": [uuid]}]})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()[0]
        return found
