"""The front of the API: who asks, and whether that caller may make this call at all.

Three settings of ``[api]`` decide. Without ``auth`` whoever reaches the API may do everything.
With Keystone, by ``aaa_mode``:

* ``no-auth``: everyone may do everything;
* ``cloud-admin``: a token with the administrators' role is needed; one with the role that reads
  everything may read;
* ``rbac``: a token is needed; the api-access-lists say which calls its roles may make
  (:mod:`tungsten.api.rbac`), then each object says what its project may do with it
  (:mod:`tungsten.api.authority`).

The mode may be changed while the server runs (``PUT /aaa-mode``); it is kept in the store, for
all servers on it.

A caller is known by what Keystone says of its token and by nothing else that it sends.
"""

from __future__ import annotations

import time
from dataclasses import replace

from starlette.requests import Request

from tungsten.api import authority, errors, pairs, rbac
from tungsten.api.access_lists import (
    ABOUT_CALLER,
    Call,
    ensure_default_rules,
    parts_of,
    refuse_unruled,
    require_call,
    rules_for,
)
from tungsten.api.bodies import Json
from tungsten.api.callers import CALLER, SYSTEM, Caller, dashed
from tungsten.api.engine import Engine
from tungsten.api.errors import ApiFault, BadRequest, Forbidden, NotFound, echo
from tungsten.api.keystone import Identity, Keystone
from tungsten.api.settings import ApiSettings
from tungsten.api.transactions import Write
from tungsten.store.base import Snapshot
from tungsten.store.origin import ORIGIN, origin_of
from tungsten.store.records import from_record

MODES = ("no-auth", "cloud-admin", "rbac")
SPACE = "settings"
MODE_KEY = "aaa-mode"
MODE_AGE = 1.0
"""Seconds after which another server's change of the mode is looked for."""

OPEN = ("/", "/healthz", "/metrics", "/openapi.json", "/documentation")
"""What needs no token, beside what is below the last."""

LOCAL_ADMIN = "tungsten.local-admin"
"""Key in the scope of requests that came by the administrator's listener."""


class Unauthorized(ApiFault):
    """Who asks is not known."""

    status = 401


def path_of(request: Request) -> str:
    """The path that a request asks for, decoded: what is decided on and what is routed by."""
    path: str = request.scope["path"]
    return path


class Front:
    """Decides on every request before it is answered."""

    def __init__(self, engine: Engine, settings: ApiSettings, keystone: Keystone | None) -> None:
        self._engine = engine
        self._settings = settings
        self._keystone = keystone
        self._mode: str = settings.aaa_mode
        self._mode_until = 0.0

    @property
    def is_open(self) -> bool:
        """Whether everyone may do everything, for as long as the server runs."""
        return self._keystone is None

    async def mode(self) -> str:
        """How callers are known."""
        if self._keystone is None:
            return "no-auth"
        if time.monotonic() >= self._mode_until:
            stored = await self._engine.read(lambda s: pairs.get(s, SPACE, MODE_KEY))
            self._mode = next((one for one in MODES if one == stored), self._settings.aaa_mode)
            self._mode_until = time.monotonic() + MODE_AGE
        return self._mode

    async def set_mode(self, body: Json) -> Json:
        """``PUT /aaa-mode``, for administrators."""
        if not CALLER.get().admin:
            raise Forbidden("Permission Denied: only administrators change the aaa-mode")
        wanted = body.get("aaa-mode")
        mode = next((one for one in MODES if one == wanted), None)
        if mode is None:
            raise BadRequest(f"Invalid aaa-mode {echo(wanted)}: expected one of {', '.join(MODES)}")
        if self._keystone is None:
            if mode != "no-auth":
                raise BadRequest(f"aaa-mode {mode} needs authentication, set api.auth to keystone")
            return {"aaa-mode": mode}

        def run(write: Write) -> None:
            pairs.put(write.tx, SPACE, MODE_KEY, mode)
            if mode == "rbac":
                ensure_default_rules(write)

        await self._engine.write(run)
        self._mode_until = 0.0
        return {"aaa-mode": mode}

    async def needs_body(self, request: Request) -> bool:
        """Whether the rules must see the body of a request before it is answered."""
        return request.method in ("POST", "PUT") and await self.mode() == "rbac"

    async def admit(self, request: Request, body: Json) -> Caller:
        """Who asks. Raises Unauthorized, Forbidden when the call is not for that caller.

        What the request writes says who asked for it (:mod:`tungsten.store.origin`).
        """
        caller = await self._known(request, body)
        host = "" if request.client is None else request.client.host
        ORIGIN.set(origin_of(caller.user, f"{request.method} {path_of(request)}", host))
        return caller

    async def _known(self, request: Request, body: Json) -> Caller:
        mode = await self.mode()
        if mode == "no-auth" or request.scope.get(LOCAL_ADMIN):
            return SYSTEM
        path = path_of(request)
        if path in OPEN or path.startswith("/documentation/"):
            return Caller()
        identity = await self.identify(request.headers.get("x-auth-token", ""))
        call = Call(path, rbac.LETTERS.get(request.method, "C"), body, request.query_params)
        return await self._engine.read(lambda s: self.admitted(s, mode, identity, call))

    async def identify(self, token: str) -> Identity:
        """Whose a token is. Raises Unauthorized, Unreachable."""
        assert self._keystone is not None
        identity = await self._keystone.identify(token) if token else None
        if identity is None:
            raise Unauthorized("Authentication required")
        return identity

    def challenge(self) -> dict[str, str]:
        """The headers that tell a caller where tokens come from."""
        return {"www-authenticate": f'Keystone uri="{self._settings.keystone_url}"'}

    def admitted(self, snapshot: Snapshot, mode: str, identity: Identity, call: Call) -> Caller:
        """Who asks, when the rules let that caller make a call. Raises Forbidden, Unauthorized."""
        caller = self.caller(snapshot, identity)
        if caller.admin or (caller.reader and call.is_reading):
            return caller
        if mode == "cloud-admin":
            raise Forbidden("403 Permission Denied")
        if call.letter == "R" and call.path in ABOUT_CALLER:
            return caller
        if not caller.roles:
            raise Unauthorized("roles empty!!")
        refuse_unruled(call)
        rules = rules_for(snapshot, caller)
        if not rules:
            raise Forbidden("Permission Denied RBAC rule list empty")
        for letter, object_, fields in parts_of(snapshot, replace(call, project=caller.project_id)):
            require_call(rules, caller, letter, object_, fields)
        return caller

    async def caller_of(self, identity: Identity) -> Caller:
        """The caller that a token stands for, now."""
        return await self._engine.read(lambda s: self.caller(s, identity))

    def caller(self, snapshot: Snapshot, identity: Identity) -> Caller:
        """The caller that a token stands for."""
        roles = {role.lower() for role in identity.roles}
        reader = self._settings.global_read_only_role.lower()
        domain_id = dashed(identity.domain_id)
        if domain_id in ("", "default"):
            record = snapshot.find("domain", ("default-domain",))
            domain_id = record.uuid if record is not None else ""
        return Caller(
            user=identity.user,
            user_id=identity.user_id,
            roles=identity.roles,
            project=identity.project,
            project_id=dashed(identity.project_id),
            domain=identity.domain,
            domain_id=domain_id,
            admin=self._settings.cloud_admin_role.lower() in roles,
            reader=bool(reader) and reader in roles,
            expires=identity.expires,
        )

    async def object_permissions(self, request: Request) -> Json:
        """``GET /obj-perms``: whose a token is, and what that caller may do with an object."""
        uuid = request.query_params.get("uuid")
        if await self.mode() == "no-auth":
            return _permissions(None, SYSTEM, authority.READ | authority.WRITE | authority.LINK)
        headers = request.headers
        token = headers.get("x-user-token") or headers.get("x-auth-token")
        if not token:
            raise BadRequest("User token needed for validation")
        assert self._keystone is not None
        identity = await self._keystone.identify(token)
        if identity is None:
            raise Forbidden("User token is not valid")

        def run(snapshot: Snapshot) -> Json:
            caller = self.caller(snapshot, identity)
            bits = None
            if uuid is not None:
                record = snapshot.get(uuid)
                if record is None:
                    raise errors.unknown_id(uuid)
                resource = from_record(record)
                if authority.is_hidden(caller, resource):
                    raise NotFound(f"This object is not visible by users: {uuid}")
                bits = authority.granted(caller, authority.perms2_of(snapshot, resource))
            return _permissions(identity.said, caller, bits)

        return await self._engine.read(run)


def _permissions(said: Json | None, caller: Caller, bits: int | None) -> Json:
    known = said is not None
    answer: Json = {
        "token_info": said,
        "is_cloud_admin_role": known and caller.admin,
        "is_global_read_only_role": known and caller.reader,
    }
    if bits is not None:
        letters = zip("RWX", (authority.READ, authority.WRITE, authority.LINK), strict=True)
        answer["permissions"] = "".join(letter for letter, bit in letters if bits & bit)
    return answer
