"""Jobs that configure devices."""

from __future__ import annotations

from typing import Annotated

from tungsten.model.base import Resource
from tungsten.model.fields import Complex, Default, ListOf, Required
from tungsten.model.scalars import JobConcurrencyLevelType, JobTemplateType


class PlaybookInfoType(Complex):
    """A playbook and the devices it is for."""

    playbook_uri: str | None = None
    multi_device_playbook: Annotated[bool | None, Default(False)] = None
    refresh_token: Annotated[bool | None, Default(False)] = None
    vendor: str | None = None
    device_family: str | None = None
    #: Its share of the progress shown, in percent.
    job_completion_weightage: Annotated[int | None, Default(100)] = None
    sequence_no: int | None = None


class PlaybookInfoListType(Complex):
    """Playbooks, in the order they run."""

    playbook_info: list[PlaybookInfoType] | None = None


class ExecutableInfoType(Complex):
    """A program and its arguments."""

    executable_path: str | None = None
    executable_args: str | None = None
    job_completion_weightage: Annotated[int | None, Default(100)] = None


class ExecutableInfoListType(Complex):
    """Programs, in the order they run."""

    executable_info: list[ExecutableInfoType] | None = None


class JobTemplate(Resource, type="job-template", parents=("global-system-config",)):
    """A job: what it runs and the parameters it takes."""

    #: Who asked waits for it.
    job_template_synchronous_job: Annotated[bool | None, Required] = None
    job_template_type: Annotated[JobTemplateType | None, Required] = None
    job_template_concurrency_level: Annotated[JobConcurrencyLevelType | None, Required] = None
    job_template_playbooks: Annotated[
        PlaybookInfoListType | None, ListOf("playbook_info"), Required
    ] = None
    job_template_recovery_playbooks: Annotated[
        PlaybookInfoListType | None, ListOf("playbook_info")
    ] = None
    job_template_executables: Annotated[
        ExecutableInfoListType | None, ListOf("executable_info")
    ] = None
    job_template_input_schema: str | None = None
    job_template_output_schema: str | None = None
    job_template_input_ui_schema: str | None = None
    job_template_output_ui_schema: str | None = None
    job_template_description: str | None = None
