"""What a configuration file may say: one section per layer, every key with its default.

The sections' structs live beside the code they configure; this module puts them together.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from tungsten.agent.settings import AgentSettings
from tungsten.api.settings import ApiSettings
from tungsten.control.settings import ControlSettings


class StoreSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where configuration is kept."""

    url: Annotated[str, msgspec.Meta(description="sqlite:FILE, the embedded store")] = (
        "sqlite:/var/lib/tungsten/config.db"
    )


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
    log: LogSettings = LogSettings()
