"""Settings of the configuration API: the ``[api]`` section of the configuration file."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct


class ApiSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the API listens and what it accepts."""

    listen: Annotated[
        str,
        Meta(
            description="Address and port of the REST API, HOST:PORT; [HOST]:PORT for IPv6. "
            "Port 0 takes any free one."
        ),
    ] = "127.0.0.1:8082"
    allowed_hosts: Annotated[
        tuple[str, ...],
        Meta(
            description="Host names that clients may address the API by, beside IP addresses, "
            'localhost and this machine\'s own names; "*" allows every name.'
        ),
    ] = ()
    max_body: Annotated[
        int, Meta(ge=1024, description="Largest request body in bytes; a larger one gets 413.")
    ] = 1_024_000
    max_requests: Annotated[
        int, Meta(ge=1, description="Connections and requests served at once; more get 503.")
    ] = 1024
    max_connections_per_source: Annotated[
        int,
        Meta(
            ge=0,
            description="Connections from one address (of IPv6, from one /64) at once; more are "
            "ended with 503. Those from 127.0.0.1 and ::1 are not counted, since a proxy there "
            "speaks for many; for a proxy elsewhere it must be raised. 0: any number.",
        ),
    ] = 256
    request_timeout: Annotated[
        float,
        Meta(
            gt=0,
            description="Seconds that a client may take to send the head of a request, and between "
            "two pieces of its body.",
        ),
    ] = 30.0
    page_size: Annotated[
        int, Meta(ge=1, description="Elements of a page when a paged list names no page_limit.")
    ] = 256
    auth: Annotated[
        Literal["noauth", "keystone"],
        Meta(
            description="How callers are known: not at all, whoever reaches the API may do "
            "everything; or by tokens that Keystone gave them."
        ),
    ] = "noauth"
    aaa_mode: Annotated[
        Literal["no-auth", "cloud-admin", "rbac"],
        Meta(
            description="With Keystone, what callers may do: everything; everything, with "
            "cloud_admin_role only; what api-access-lists and the objects' perms2 say. "
            "PUT /aaa-mode changes it while the server runs, for all servers on its store."
        ),
    ] = "cloud-admin"
    cloud_admin_role: Annotated[
        str, Meta(min_length=1, description="The role that may do everything.")
    ] = "admin"
    global_read_only_role: Annotated[
        str, Meta(description="The role that may read everything; empty: none.")
    ] = ""
    keystone_url: Annotated[
        str, Meta(description="Where Keystone is: http://HOST:5000, with or without /v3.")
    ] = ""
    keystone_user: Annotated[
        str, Meta(description="The API's own user at Keystone, that checks others' tokens.")
    ] = "tungsten"
    keystone_password_file: Annotated[
        str, Meta(description="The file that holds the password of keystone_user.")
    ] = ""
    keystone_project: Annotated[str, Meta(description="The project of keystone_user.")] = "service"
    keystone_user_domain: Annotated[
        str, Meta(description="The name of the domain of keystone_user.")
    ] = "Default"
    keystone_project_domain: Annotated[
        str, Meta(description="The name of the domain of keystone_project.")
    ] = "Default"
    keystone_ca_file: Annotated[
        str,
        Meta(description="Certificates of who signed Keystone's; empty: those of this machine."),
    ] = ""
    keystone_cache: Annotated[
        float,
        Meta(
            ge=0,
            description="Seconds for which Keystone is believed about a token without being asked "
            "again; a token that it revokes is accepted so much longer.",
        ),
    ] = 60.0
    admin_listen: Annotated[
        str,
        Meta(
            description="With Keystone, address and port of the administrator's listener: the "
            "same API for who knows admin_user and its password (HTTP Basic)."
        ),
    ] = "127.0.0.1:8095"
    admin_user: Annotated[str, Meta(description="The user of the administrator's listener.")] = (
        "admin"
    )
    admin_password_file: Annotated[
        str,
        Meta(
            description="The file that holds the password of admin_user; empty: there is no "
            "administrator's listener."
        ),
    ] = ""
    secrets_key_file: Annotated[
        str,
        Meta(
            description="The file (mode 0600) with the keys that passwords in objects are "
            "encrypted with, made when it is missing; the servers of a store need the same. Empty: "
            "beside an SQLite store, FILE-keys; on etcd passwords are refused then."
        ),
    ] = ""
    introspect_listen: Annotated[
        str, Meta(description="Address of the introspect server (HOST:PORT); empty: none.")
    ] = "127.0.0.1:8084"
    quota: Annotated[
        dict[str, int],
        Meta(
            description="How many objects of a type a project may have that does not say itself: "
            '{ virtual_network = 10, defaults = -1 }; "defaults" is for the types not named, -1 '
            "for any number."
        ),
    ] = msgspec.field(default_factory=dict)
    unknown_fields: Annotated[
        Literal["refuse", "drop"],
        Meta(
            description="What to do with a field that the resource type does not have: refuse the "
            "request, or drop the field silently as older servers did."
        ),
    ] = "refuse"
    stale_reads: Annotated[
        Literal["serve", "refuse"],
        Meta(
            description="What to do with reads while a store on etcd cannot be asked: answer from "
            "what this server knew last, with the header X-Tungsten-Stale, or answer 503."
        ),
    ] = "serve"
    watch_keepalive: Annotated[
        float, Meta(gt=0, description="Seconds of silence on /watch before a comment line is sent.")
    ] = 60.0
    watch_queue: Annotated[
        int,
        Meta(
            ge=1,
            description="Events that a slow reader of /watch may fall behind before its stream is "
            "ended; it resumes with Last-Event-ID.",
        ),
    ] = 10_000
