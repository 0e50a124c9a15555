"""Commands against a server that has objects and nothing else, as upstream's have."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.unit.cli.running import Run
from typer.testing import CliRunner, Result

from tungsten.cli.app import app

NEWER = ("/apply", "/plan", "/history", "/past", "/transaction")

FILE = """
virtual-machine-interface:
  fq_name: [default-domain, default-project, old-port]
  parent_type: project
  virtual_network_refs: [{to: [default-domain, default-project, old-net]}]
---
virtual-network:
  fq_name: [default-domain, default-project, old-net]
  parent_type: project
  display_name: Old
"""


class Before(BaseHTTPRequestHandler):
    """Passes requests on to the real server, except those that older ones do not have."""

    target = ""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def answer(self) -> None:
        """One request."""
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length) if length else None
        if self.path.split("?")[0] in NEWER:
            self.reply(404, b"Error: 404 Not Found")
            return
        asked = urllib.request.Request(self.target + self.path, data=body, method=self.command)
        if body:
            asked.add_header("content-type", "application/json")
        try:
            with urllib.request.urlopen(asked, timeout=20) as found:
                data = found.read()
                if self.path == "/":
                    said = json.loads(data)
                    said["links"] = [
                        one for one in said["links"] if not one["link"]["href"].endswith(NEWER)
                    ]
                    data = json.dumps(said).encode()
                self.reply(found.status, data)
        except urllib.error.HTTPError as error:
            self.reply(error.code, error.read())

    def reply(self, status: int, data: bytes) -> None:
        """The answer."""
        self.send_response(status)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_DELETE = answer


@pytest.fixture(scope="module")
def old(api: str) -> Iterator[Run]:
    handler = type("Handler", (Before,), {"target": api})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.server_address[1]}"

    def run(*words: str, code: int = 0, given: str | None = None) -> Result:
        result = CliRunner().invoke(app, [words[0], "--url", url, *words[1:]], input=given)
        assert result.exit_code == code, (result.output, result.exception)
        return result

    yield run
    server.shutdown()
    server.server_close()
    thread.join(10)


def test_files_are_applied_and_deleted_object_by_object(old: Run, tmp_path: Path) -> None:
    file = tmp_path / "old.yaml"
    file.write_text(FILE)
    dry = old("apply", "-f", str(file), "--dry-run").output
    assert "old-net created (dry run)" in dry
    lines = [line for line in old("apply", "-f", str(file)).output.splitlines() if "-n" in line]
    made = old("apply", "-f", str(file)).output
    assert "object by object" in made
    assert made.count(" unchanged") == 2
    assert any("old-net created" in line for line in lines)
    file.write_text(FILE.replace("Old", "Older"))
    changed = old("apply", "-f", str(file)).output
    assert "old-net updated" in changed
    assert "old-port unchanged" in changed
    assert "Older" in old("get", "vn", "old-net", "-o", "yaml").output
    old("describe", "vmi", "old-port")
    gone = old("delete", "-f", str(file), "--yes").output
    assert gone.index("old-port deleted") < gone.index("old-net deleted")
    assert old("delete", "-f", str(file), "--yes").output.count("is not there") == 2


@pytest.mark.parametrize(
    "words",
    [
        ["plan", "-f", "-"],
        ["diff", "-f", "-"],
        ["apply", "-f", "-", "--owner", "shop"],
        ["history"],
        ["get", "vn", "--at", "1"],
    ],
)
def test_what_is_not_offered_is_said(old: Run, words: list[str]) -> None:
    said = old(*words, code=1, given=FILE).output
    assert "it is an upstream server or an older one" in said
    assert "has no /" in said


def test_a_real_404_is_not_taken_for_an_older_server(run: Run) -> None:
    said = run("apply", "-f", "-", code=1, given="nothing: {fq_name: [a]}").output
    assert "older" not in said
    assert "nothing" in said
