"""Talking to an etcd cluster: endpoints, credentials, deadlines, and what its errors mean.

The messages and stubs are aetcd's. A call goes to one member; when that one does not answer in
time or cannot serve, the next call goes to the next. What matters after an error is whether the
call may have had its effect all the same:

* :class:`Unanswered`: nobody knows (connection cut, deadline, leader changed);
* every other error: it had none.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import grpc
from aetcd.rpc import rpc_pb2 as pb
from aetcd.rpc import rpc_pb2_grpc as stubs

from tungsten.store.base import (
    Compacted,
    StoreError,
    StoreUnavailable,
    StoreUnusable,
    TransactionTooLarge,
)
from tungsten.store.etcd_options import EtcdOptions

#: Seconds that one member has to answer before the next is asked.
TRY = 2.0

#: Seconds that a call has on all members together.
DEADLINE = 5.0

#: A message may be this long; pages are kept far below it (see etcd_follower).
LONGEST = 64 * 1024 * 1024

_CHANNEL = [
    ("grpc.max_receive_message_length", LONGEST),
    ("grpc.max_send_message_length", LONGEST),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.enable_http_proxy", 0),
]

#: A member without a leader refuses instead of answering from what it had.
NEEDS_LEADER = ("hasleader", "true")


class Unanswered(StoreUnavailable):
    """A call whose effect is not known."""


#: The first releases without CVE-2026-33413 and CVE-2026-73499, by minor version; later minors
#: have the fixes from their first release that is listed in docs/etcd.md.
PATCHED = {(3, 5): 33, (3, 6): 14, (3, 7): 1}


def is_patched(version: str) -> bool:
    """Whether a release has the fixes of :data:`PATCHED`; unreadable versions have not."""
    parts = version.partition("-")[0].split(".")
    if len(parts) != 3 or not all(part.isdecimal() for part in parts):
        return False
    major, minor, patch = map(int, parts)
    newest = max(PATCHED)
    if (major, minor) > newest:
        return True
    first = PATCHED.get((major, minor))
    return first is not None and patch >= first


_ENDPOINT = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^:\[\],/\s]+):(?P<port>[0-9]{1,5})")


def parse(rest: str) -> tuple[tuple[str, ...], str]:
    """Endpoints and prefix of ``HOST:PORT[,HOST:PORT...]/PREFIX``. Raises StoreUnusable."""
    hosts, slash, prefix = rest.partition("/")
    endpoints = tuple(hosts.split(","))
    for endpoint in endpoints:
        match = _ENDPOINT.fullmatch(endpoint)
        if match is None or not 0 < int(match["port"]) < 65536:
            raise StoreUnusable(f"{endpoint!r} is no endpoint of etcd: HOST:PORT expected")
    if not slash or not prefix.strip("/"):
        raise StoreUnusable(f"etcd:{rest} has no prefix: etcd:HOST:PORT/PREFIX expected")
    return endpoints, prefix


def _read(path: Path | None, what: str) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise StoreUnusable(f"the {what} {path} cannot be read: {error.strerror}") from error


@dataclass(frozen=True, slots=True)
class _Papers:
    """What is shown to etcd and expected of it."""

    tls: grpc.ChannelCredentials | None
    user: str
    password: str


def _papers(options: EtcdOptions) -> _Papers:
    """Read the files. Raises StoreUnusable."""
    ca = _read(options.ca, "CA file")
    certificate = _read(options.certificate, "certificate")
    key = _read(options.key, "key")
    if (certificate is None) != (key is None):
        raise StoreUnusable("a certificate needs its key, and a key its certificate")
    if certificate is not None and ca is None:
        raise StoreUnusable("a certificate is given but no CA file, so TLS would be off")
    tls = None
    if ca is not None:
        _check_papers(options)
        tls = grpc.ssl_channel_credentials(ca, key, certificate)
    text = (_read(options.credentials, "credentials file") or b"").decode().strip()
    user, colon, password = text.partition(":")
    if text and not (colon and user and password):
        raise StoreUnusable(f"{options.credentials} does not hold a line user:password")
    return _Papers(tls, user, password)


def _check_papers(options: EtcdOptions) -> None:
    """Refuse what gRPC would only fail with later: no PEM, a key of another certificate."""
    try:
        context = ssl.create_default_context(cafile=options.ca)
    except (ssl.SSLError, OSError) as error:
        raise StoreUnusable(f"the CA file {options.ca} has no certificate: {error}") from error
    if options.certificate is None:
        return
    try:
        context.load_cert_chain(options.certificate, options.key, password="")
    except (ssl.SSLError, OSError) as error:
        raise StoreUnusable(
            f"the certificate {options.certificate} and the key {options.key} do not belong"
            f" together: {error}"
        ) from error


class Access:
    """What it takes to open channels to a cluster's members. Never shows its secrets.

    ``generation`` grows when :meth:`renew` has found new files: channels of before are to be left.
    """

    def __init__(self, endpoints: tuple[str, ...], options: EtcdOptions) -> None:
        self.endpoints = endpoints
        self.generation = 0
        self._options = options
        self._stamps = self._look()
        self._held = _papers(options)

    def _look(self) -> list[tuple[int, int, int] | None]:
        """What tells that a file was replaced or written."""
        stamps: list[tuple[int, int, int] | None] = []
        options = self._options
        for path in (options.ca, options.certificate, options.key, options.credentials):
            try:
                found = None if path is None else path.stat()
            except OSError:
                found = None
            stamps.append(found and (found.st_ino, found.st_mtime_ns, found.st_size))
        return stamps

    def renew(self) -> bool:
        """Read the files again if one has changed; whether so.

        Raises StoreUnusable, once, for what cannot be used: then what was known stays in use.
        """
        stamps = self._look()
        if stamps == self._stamps:
            return False
        self._stamps = stamps
        self._held = _papers(self._options)
        self.generation += 1
        return True

    def __str__(self) -> str:
        return ",".join(self.endpoints)

    def __repr__(self) -> str:
        return f"Access({','.join(self.endpoints)})"

    @property
    def login(self) -> pb.AuthenticateRequest | None:
        """The request that gets a token, if there are credentials."""
        held = self._held
        if not held.user:
            return None
        return pb.AuthenticateRequest(name=held.user, password=held.password)

    def channel(self, endpoint: str) -> Any:
        """A channel to a member for threads."""
        tls = self._held.tls
        if tls is None:
            return grpc.insecure_channel(endpoint, options=_CHANNEL)
        return grpc.secure_channel(endpoint, tls, options=_CHANNEL)

    def channel_of_loop(self, endpoint: str) -> Any:
        """A channel to a member for the running event loop."""
        tls = self._held.tls
        if tls is None:
            return grpc.aio.insecure_channel(endpoint, options=_CHANNEL)
        return grpc.aio.secure_channel(endpoint, tls, options=_CHANNEL)


def translated(error: grpc.RpcError, endpoint: str) -> StoreError:
    """A gRPC error in the store's words."""
    code, text = error.code(), error.details() or ""
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and "space exceeded" in text:
        return StoreUnavailable(
            f"etcd at {endpoint} is out of space (NOSPACE): compact and defragment it or raise"
            " --quota-backend-bytes, then disarm its alarm; until then it can only be read"
        )
    if any(sign in text for sign in ("too many operations", "too large", "larger than max")):
        return TransactionTooLarge(
            f"etcd at {endpoint} does not take a transaction of this size ({text}):"
            " see --max-txn-ops and --max-request-bytes"
        )
    if code is grpc.StatusCode.OUT_OF_RANGE and "compacted" in text:
        return Compacted(f"etcd at {endpoint} has compacted what was asked for")
    if code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED) or (
        "user name is empty" in text or "authentication failed" in text
    ):
        return StoreUnusable(f"etcd at {endpoint} refuses our credentials: {text}")
    definite = (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.UNIMPLEMENTED,
    )
    kind = StoreUnavailable if code in definite else Unanswered
    return kind(f"etcd at {endpoint} did not serve: {_plain(text) or code.name}")


def _plain(text: str) -> str:
    """What gRPC says of a failure, without its own codes and forms of addresses."""
    text = text.removeprefix("failed to connect to all addresses; last error: ")
    text = re.sub(r"\b[A-Z_]+: (?:ipv4|ipv6|unix):\S+: ", "", text)
    return re.sub(r"^Failed to connect to remote host: (?:connect: )?", "no connection: ", text)


class Connection:
    """One member, for calls from threads: used to open, load and watch."""

    def __init__(self, access: Access, endpoint: str) -> None:
        self.endpoint = endpoint
        self._channel = access.channel(endpoint)
        self.metadata: tuple[tuple[str, str], ...] = ()
        self._kv = stubs.KVStub(self._channel)
        self._watch = stubs.WatchStub(self._channel)
        if access.login is not None:
            answer = self.call(stubs.AuthStub(self._channel).Authenticate, access.login)
            self.metadata = (("token", answer.token),)

    def call(self, method: Any, request: Any, timeout: float = TRY) -> Any:
        """One call. Raises StoreError."""
        try:
            return method(request, timeout=timeout, metadata=self.metadata)
        except grpc.RpcError as error:
            raise translated(error, self.endpoint) from error

    def range(self, request: pb.RangeRequest, timeout: float = TRY) -> Any:
        """Read keys."""
        return self.call(self._kv.Range, request, timeout)

    def txn(self, request: pb.TxnRequest) -> Any:
        """Run a transaction."""
        return self.call(self._kv.Txn, request)

    def version(self) -> str:
        """The member's version."""
        status = stubs.MaintenanceStub(self._channel).Status
        return str(self.call(status, pb.StatusRequest()).version)

    def watch(self, request: pb.WatchCreateRequest) -> Stream:
        """Begin a watch."""
        return Stream(self._watch.Watch, request, self)

    def close(self) -> None:
        """Let go of the member."""
        self._channel.close()


class Stream:
    """The answers of a watch, until cancelled from any thread. Iterating raises StoreError."""

    def __init__(self, method: Any, request: pb.WatchCreateRequest, connection: Connection) -> None:
        # gRPC takes the requests in a thread of its own and ends the stream when there are no more.
        self._requests: SimpleQueue[pb.WatchRequest | None] = SimpleQueue()
        self._requests.put(pb.WatchRequest(create_request=request))
        self._endpoint = connection.endpoint
        metadata = (*connection.metadata, NEEDS_LEADER)
        self._call = method(iter(self._requests.get, None), metadata=metadata)

    def __iter__(self) -> Iterator[Any]:
        try:
            yield from self._call
        except grpc.RpcError as error:
            raise translated(error, self._endpoint) from error

    def cancel(self) -> None:
        """End it."""
        self._requests.put(None)
        self._call.cancel()


class Cluster:
    """All members, for calls from one event loop."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._channels: dict[str, Any] = {}
        self._methods: dict[tuple[str, str], Any] = {}
        self._tokens: dict[str, tuple[tuple[str, str], ...]] = {}
        self._at = 0
        self._generation = access.generation
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def endpoint(self) -> str:
        """The member that is asked first."""
        return self._access.endpoints[self._at % len(self._access.endpoints)]

    def _renew(self) -> None:
        """Leave channels whose papers are old; what is being asked there is let end."""
        if self._generation == self._access.generation:
            return
        self._generation = self._access.generation
        for channel in self._channels.values():
            task = asyncio.get_running_loop().create_task(channel.close(DEADLINE))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
        self._channels, self._methods, self._tokens = {}, {}, {}

    def _method(self, endpoint: str, service: str, name: str) -> Any:
        self._renew()
        method = self._methods.get((endpoint, name))
        if method is None:
            channel = self._channels.get(endpoint)
            if channel is None:
                channel = self._channels[endpoint] = self._access.channel_of_loop(endpoint)
            method = getattr(getattr(stubs, f"{service}Stub")(channel), name)
            self._methods[endpoint, name] = method
        return method

    async def call(self, service: str, name: str, request: Any, seconds: float = TRY) -> Any:
        """One call to one member. Raises StoreError; after most, the next member is next."""
        endpoint, at = self.endpoint, self._at
        for again in (False, True):
            metadata = await self._metadata(endpoint, renew=again)
            try:
                method = self._method(endpoint, service, name)
                return await method(request, timeout=seconds, metadata=metadata)
            except grpc.RpcError as error:
                if (
                    error.code() is grpc.StatusCode.UNAUTHENTICATED
                    and self._access.login is not None
                    and not again
                ):
                    continue
                translation = translated(error, endpoint)
                if isinstance(translation, Unanswered) and self._at == at:
                    self._at += 1
                raise translation from error
        raise AssertionError("the second time returns or raises")

    async def _metadata(self, endpoint: str, *, renew: bool) -> tuple[tuple[str, str], ...]:
        login = self._access.login
        if login is None:
            return ()
        if renew or endpoint not in self._tokens:
            try:
                method = self._method(endpoint, "Auth", "Authenticate")
                answer = await method(login, timeout=TRY)
            except grpc.RpcError as error:
                self._at += 1
                raise translated(error, endpoint) from error
            self._tokens[endpoint] = (("token", answer.token),)
        return self._tokens[endpoint]

    async def ask(
        self, service: str, name: str, request: Any, deadline: float | None = None
    ) -> Any:
        """A call that may be made twice, to any member that answers before the deadline."""
        end = time.monotonic() + DEADLINE if deadline is None else deadline
        pause = 0.02
        while True:
            left = end - time.monotonic()
            try:
                return await self.call(service, name, request, max(0.01, min(TRY, left)))
            except Unanswered:
                if time.monotonic() + pause >= end:
                    raise
                await asyncio.sleep(pause)
                pause = min(2 * pause, 0.5)

    async def keep_alive(self, lease: int) -> int:
        """Renew a lease; the seconds it lives from now on, 0 when it is gone."""
        endpoint, at = self.endpoint, self._at
        metadata = await self._metadata(endpoint, renew=False)
        method = self._method(endpoint, "Lease", "LeaseKeepAlive")
        try:
            request = pb.LeaseKeepAliveRequest(ID=lease)
            async for answer in method(iter([request]), timeout=TRY, metadata=metadata):
                return int(answer.TTL)
        except grpc.RpcError as error:
            if self._at == at:
                self._at += 1
            raise translated(error, endpoint) from error
        raise Unanswered(f"etcd at {endpoint} did not say how long a lease lives")

    async def close(self) -> None:
        """Let go of all members."""
        for task in list(self._closing):
            task.cancel()
        for channel in self._channels.values():
            await channel.close()


def first_answer(access: Access, use: Callable[[Connection], Any]) -> Any:
    """What ``use`` makes of the first member that answers; the last error when none does."""
    failure: StoreError = StoreUnavailable("no endpoint of etcd is given")
    for endpoint in access.endpoints:
        connection = None
        try:
            connection = Connection(access, endpoint)
            return use(connection)
        except StoreUnavailable as error:
            failure = error
        finally:
            if connection is not None:
                connection.close()
    raise failure
