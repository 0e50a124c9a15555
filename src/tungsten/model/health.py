"""Health checks of interfaces and services."""

from __future__ import annotations

from typing import Annotated

from tungsten.model.addressing import IpAddressesType
from tungsten.model.base import Ref, Resource
from tungsten.model.fields import Complex, Default, Required, To
from tungsten.model.routing import ServiceInterfaceTag
from tungsten.model.scalars import HealthCheckProtocolType, HealthCheckType


class ServiceHealthCheckType(Complex):
    """What is checked, how often, and when it counts as failed."""

    enabled: Annotated[bool | None, Default(False)] = None
    #: Who is asked: the interface by its own host, the far end, or addresses.
    health_check_type: HealthCheckType | None = None
    monitor_type: HealthCheckProtocolType | None = None
    #: Between checks: seconds, and microseconds more.
    delay: int | None = None
    delayUsecs: Annotated[int | None, Default(0)] = None
    #: For an answer: seconds, and microseconds more.
    timeout: int | None = None
    timeoutUsecs: Annotated[int | None, Default(0)] = None
    #: Failures in a row after which it is down.
    max_retries: int | None = None
    http_method: str | None = None
    url_path: str | None = None
    expected_codes: str | None = None
    target_ip_all: Annotated[bool | None, Default(False)] = None
    target_ip_list: IpAddressesType | None = None


class ServiceHealthCheck(Resource, type="service-health-check", parents=("project",)):
    """How it is known that an interface or service works."""

    service_health_check_properties: Annotated[ServiceHealthCheckType | None, Required] = None
    service_instance_refs: Annotated[
        list[Ref[ServiceInterfaceTag]], To("service-instance", derived=True)
    ] = []
