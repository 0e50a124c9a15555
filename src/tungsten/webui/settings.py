"""Settings of the web UI's endpoints: the ``[webui]`` section of the configuration file."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class WebUiSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the endpoints listen, how they are encrypted, how long a login holds."""

    listen: Annotated[
        str,
        Meta(
            description="Address and port of the web UI's configuration endpoints, HOST:PORT "
            "(clients expect port 8143); empty: they are not served."
        ),
    ] = ""
    certificate: Annotated[
        str,
        Meta(
            description="PEM file of the certificate, with those between it and its root; empty: "
            "a self-signed one, made at the first start."
        ),
    ] = ""
    key: Annotated[str, Meta(description="PEM file of the certificate's key.")] = ""
    state_directory: Annotated[
        str, Meta(description="Where the self-signed certificate is kept, in webui.pem.")
    ] = "/var/lib/tungsten"
    plain_http: Annotated[
        bool,
        Meta(
            description="Serve without encryption, for who has a proxy in front that encrypts; "
            "passwords and sessions can be read on the way otherwise."
        ),
    ] = False
    keystone_user_domain: Annotated[
        str,
        Meta(
            min_length=1,
            description="With Keystone, the domain of users that log in without naming one.",
        ),
    ] = "Default"
    keystone_project: Annotated[
        str,
        Meta(
            description="With Keystone, the project that users log in to; who is not in it is "
            "logged in to the first project, by name, that the user is in."
        ),
    ] = "admin"
    session_idle: Annotated[
        float, Meta(gt=0, description="Seconds without a request after which a login ends.")
    ] = 1800.0
    session_life: Annotated[
        float, Meta(gt=0, description="Seconds after which a login ends, used or not.")
    ] = 43_200.0
    max_sessions: Annotated[
        int,
        Meta(ge=1, description="Logins held at once; one more ends that which rested longest."),
    ] = 1000
