"""Rules about turning drafts of security policies on and off in a project or in the system.

See :mod:`tungsten.api.drafts`. The policy-management that holds the drafts of a scope comes and
goes with the scope's ``enable_security_policy_draft``, and with the project.
"""

from __future__ import annotations

from typing import Any

from tungsten.api import drafts
from tungsten.api.errors import Conflict
from tungsten.api.resources.hooks import Hooks
from tungsten.api.resources.making import make
from tungsten.api.transactions import Write, display
from tungsten.model import GlobalSystemConfig, Project
from tungsten.model.firewall import PolicyManagement

Scope = Project | GlobalSystemConfig


def _name(scope: Scope) -> drafts.Name:
    return tuple(scope.fq_name) if isinstance(scope, Project) else ()


def begin_drafts(write: Write, scope: Scope) -> None:
    """A scope that is made with drafts on has a place for them."""
    name = _name(scope)
    if scope.enable_security_policy_draft and drafts.management(write.tx, name) is None:
        holder = PolicyManagement(fq_name=[*name, drafts.MANAGEMENT])
        make(write, holder, scope if isinstance(scope, Project) else None)


def switch_drafts(write: Write, old: Scope, new: Scope) -> None:
    """The place for drafts comes when they are turned on, and goes when they are turned off."""
    begin_drafts(write, new)
    if not new.enable_security_policy_draft:
        end_drafts(write, new)


def end_drafts(write: Write, scope: Scope) -> None:
    """The place for drafts goes when none is left in it."""
    holder = drafts.management(write.tx, _name(scope))
    if holder is None:
        return
    waiting = write.tx.children(holder.uuid)
    if waiting:
        listed = ", ".join(drafts.shown(one) for one in waiting)
        raise Conflict(
            f"Cannot disable security draft mode on scope {':'.join(scope.fq_name)} "
            f"({scope.uuid}) as some pending security resource(s) need to be reviewed: {listed}"
        )
    write.tx.delete(holder.uuid)


def refuse_draft_management(write: Write, holder: PolicyManagement) -> None:
    """Where drafts are is made and deleted by the system, with the mode."""
    if holder.fq_name[-1] == drafts.MANAGEMENT:
        raise Conflict(
            f"Cannot modify system resource {display(holder)}: enable_security_policy_draft of its "
            "project, or of global-system-config, makes and deletes it"
        )


HOOKS: dict[str, Hooks[Any]] = {
    "policy-management": Hooks[PolicyManagement](
        create=(refuse_draft_management,), delete=(refuse_draft_management,)
    ),
}
