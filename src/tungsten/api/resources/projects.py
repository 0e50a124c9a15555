"""Rules of project: the policy set that each has for all its workloads.

A project has an application policy set ``default-application-policy-set`` that holds for all
applications, and refers to it. The system makes it with the project and it goes with it.
"""

from __future__ import annotations

from typing import Any

from tungsten.api.errors import BadRequest
from tungsten.api.resources.drafting import begin_drafts, end_drafts, switch_drafts
from tungsten.api.resources.hooks import Hooks
from tungsten.api.resources.making import make
from tungsten.api.transactions import Write
from tungsten.model import Project
from tungsten.model.firewall import ApplicationPolicySet
from tungsten.model.system import ConfigRoot
from tungsten.store.records import from_record

DEFAULT_SET = "default-application-policy-set"


def give_policy_set(write: Write, project: Project) -> None:
    """A new project has its default policy set."""
    fq_name = [*project.fq_name, DEFAULT_SET]
    made = ApplicationPolicySet(fq_name=fq_name, all_applications=True)
    project.application_policy_set_refs = [make(write, made, project)]


def complete_projects(write: Write) -> None:
    """Projects that were stored without their default policy set get it."""
    for record in write.tx.records("project"):
        if write.tx.find("application-policy-set", (*record.fq_name, DEFAULT_SET)) is None:
            project = from_record(record)
            assert isinstance(project, Project)
            give_policy_set(write, project)
            write.save(project, record)


def drop_policy_set(write: Write, project: Project) -> None:
    """The default policy set of a project goes with it."""
    record = write.tx.get(project.uuid)
    policy_set = write.tx.find("application-policy-set", (*project.fq_name, DEFAULT_SET))
    if record is None or policy_set is None:
        return
    project.application_policy_set_refs = []
    write.save(project, record)
    write.tx.delete(policy_set.uuid)


def refuse_root(write: Write, root: ConfigRoot) -> None:
    """The root of all objects is not made."""
    raise BadRequest("config-root is the root of all objects; it cannot be created")


HOOKS: dict[str, Hooks[Any]] = {
    "config-root": Hooks[ConfigRoot](create=(refuse_root,)),
    "project": Hooks[Project](
        create=(give_policy_set, begin_drafts),
        update=(switch_drafts,),
        delete=(end_drafts, drop_policy_set),
    ),
}
