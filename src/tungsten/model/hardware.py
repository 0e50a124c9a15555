"""Kinds of devices: chassis, cards, software images."""

from __future__ import annotations

from typing import Annotated

from tungsten.model.base import Ref, Resource
from tungsten.model.fields import Complex, Default, Required, To
from tungsten.model.scalars import InterfaceType, PortSpeedType


class PortInfoType(Complex):
    """A port of a card."""

    name: str | None = None
    #: ``type`` in XML.
    type_: InterfaceType | None = None
    port_speed: PortSpeedType | None = None
    channelized: Annotated[bool | None, Default(False)] = None
    channelized_port_speed: PortSpeedType | None = None
    port_group: str | None = None
    labels: list[str] | None = None


class InterfaceMapType(Complex):
    """The ports of a card."""

    port_info: list[PortInfoType] | None = None


class Card(Resource, type="card"):
    """A line card and its ports."""

    interface_map: Annotated[InterfaceMapType | None, Required] = None


class Hardware(Resource, type="hardware"):
    """A model of a device, with its cards."""

    card_refs: Annotated[list[Ref[None]], To("card")] = []


class DeviceChassis(Resource, type="device-chassis"):
    """A chassis that devices are in."""

    device_chassis_type: str | None = None


class DevicePlatformListType(Complex):
    """Models of devices."""

    platform_name: list[str] | None = None


class DeviceImage(Resource, type="device-image", parents=("global-system-config",)):
    """The software of devices."""

    device_image_file_name: str | None = None
    device_image_vendor_name: Annotated[str | None, Required] = None
    device_image_device_family: Annotated[str | None, Required] = None
    device_image_supported_platforms: DevicePlatformListType | None = None
    device_image_os_version: Annotated[str | None, Required] = None
    device_image_file_uri: str | None = None
    device_image_size: int | None = None
    device_image_md5: str | None = None
    device_image_sha1: str | None = None
    hardware_refs: Annotated[list[Ref[None]], To("hardware")] = []
