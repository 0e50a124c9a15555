"""The forwarder carries bytes into a namespace, and ends with it."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable

from tungsten.lab.netns import Namespace


def start(namespace: Namespace, target: int) -> tuple[subprocess.Popen[str], int]:
    """A forwarder to a port on the namespace's loopback, and the port it listens on."""
    argv = [sys.executable, "-m", "tungsten.lab.forward", "0", namespace.name]
    process = subprocess.Popen([*argv, f"127.0.0.1:{target}"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def test_bytes_go_both_ways_and_it_ends_with_its_namespace(
    make_namespaces: Callable[..., list[Namespace]],
) -> None:
    (namespace,) = make_namespaces("a")
    with namespace.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        namespace.call_in(lambda: listener.bind(("127.0.0.1", 0)))
        listener.listen()
        process, port = start(namespace, listener.getsockname()[1])
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=10) as near:
                far, _ = listener.accept()
                with far:
                    near.sendall(b"in")
                    assert far.recv(10) == b"in"
                    far.sendall(b"out")
                    assert near.recv(10) == b"out"
            namespace.delete(grace=0.2)
            assert process.wait(timeout=10) == 0
        finally:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


def test_nobody_listening_inside_ends_the_connection_alone(
    make_namespaces: Callable[..., list[Namespace]],
) -> None:
    (namespace,) = make_namespaces("a")
    process, port = start(namespace, 9)
    try:
        for _ in range(2):
            with socket.create_connection(("127.0.0.1", port), timeout=10) as near:
                assert near.recv(10) == b""
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
