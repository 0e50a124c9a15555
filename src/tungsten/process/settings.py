"""What a configuration file may say: one section per layer, every key with its default.

The sections' structs live beside the code they configure; this module puts them together.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from tungsten.agent.settings import AgentSettings
from tungsten.api.settings import ApiSettings
from tungsten.control.settings import ControlSettings
from tungsten.webui.settings import WebUiSettings


class StoreSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where configuration is kept."""

    url: Annotated[
        str,
        msgspec.Meta(
            description="sqlite:FILE, the embedded store; etcd:HOST:PORT[,HOST:PORT...]/PREFIX"
        ),
    ] = "sqlite:/var/lib/tungsten/config.db"
    etcd_ca: Annotated[
        str, msgspec.Meta(description="PEM file of the CA of etcd's servers; switches TLS on")
    ] = ""
    etcd_certificate: Annotated[
        str, msgspec.Meta(description="PEM file of the certificate shown to etcd")
    ] = ""
    etcd_key: Annotated[str, msgspec.Meta(description="PEM file of that certificate's key")] = ""
    etcd_credentials: Annotated[
        str, msgspec.Meta(description="file with a line user:password for etcd")
    ] = ""
    allow_unpatched_etcd: Annotated[
        bool,
        msgspec.Meta(
            description="use an etcd older than 3.5.33 or 3.6.14, whose authorization has holes"
        ),
    ] = False


class LogSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is written to standard error."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"],
        msgspec.Meta(description="the least severe events that are written"),
    ] = "info"
    format: Annotated[
        Literal["text", "json"],
        msgspec.Meta(description="text: a line for people; json: an object a line"),
    ] = "text"


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file; a process reads the sections it needs and checks them all."""

    store: StoreSettings = StoreSettings()
    api: ApiSettings = ApiSettings()
    control: ControlSettings = ControlSettings()
    agent: AgentSettings = AgentSettings()
    webui: WebUiSettings = WebUiSettings()
    log: LogSettings = LogSettings()
