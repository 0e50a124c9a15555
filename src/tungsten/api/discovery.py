"""The discovery document: what ``GET /`` says, by which clients find everything else.

Clients look types and actions up by the *name* of a link, and strip the document's own ``href``
from the front of the link's to get a path.
"""

from __future__ import annotations

from tungsten.api.bodies import Json
from tungsten.model import RESOURCE_TYPES

ACTIONS: tuple[tuple[str, str, str], ...] = (
    ("prop-collection-get", "GET", "/prop-collection-get"),
    ("prop-collection-update", "POST", "/prop-collection-update"),
    ("ref-update", "POST", "/ref-update"),
    ("name-to-id", "POST", "/fqname-to-id"),
    ("id-to-name", "POST", "/id-to-fqname"),
    ("list-bulk-collection", "POST", "/list-bulk-collection"),
    ("obj-perms", "GET", "/obj-perms"),
    ("chown", "POST", "/chown"),
    ("chmod", "POST", "/chmod"),
    ("aaa-mode", "PUT", "/aaa-mode"),
    ("watch", "GET", "/watch"),
    ("set-tag", "POST", "/set-tag"),
    ("security-policy-draft", "POST", "/security-policy-draft"),
    ("ref-relax-for-delete", "POST", "/ref-relax-for-delete"),
    ("useragent-keyvalue", "POST", "/useragent-kv"),
    ("database-check", "POST", "/db-check"),
    ("fetch-records", "POST", "/fetch-records"),
    ("start-profile", "POST", "/start-profile"),
    ("stop-profile", "POST", "/stop-profile"),
    ("obj-cache", "GET", "/obj-cache"),
    ("obj-cache", "POST", "/obj-cache"),
    ("execute-job", "POST", "/execute-job"),
    ("abort-job", "POST", "/abort-job"),
    ("amqp-publish", "POST", "/amqp-publish"),
    ("amqp-request", "POST", "/amqp-request"),
    ("hbs-get", "POST", "/hbs-get"),
    ("int-pools", "POST", "/int-pools"),
    ("int-pool", "POST", "/int-pool"),
    ("transaction", "POST", "/transaction"),
    ("apply", "POST", "/apply"),
    ("plan", "POST", "/plan"),
    ("history", "GET", "/history"),
    ("past", "GET", "/past"),
    ("virtual-network-ip-alloc", "POST", "/virtual-network/%s/ip-alloc"),
    ("virtual-network-ip-free", "POST", "/virtual-network/%s/ip-free"),
    ("virtual-network-subnet-ip-count", "POST", "/virtual-network/%s/subnet-ip-count"),
)
"""Actions as (name of the link, method, path)."""


def document(base: str) -> Json:
    """The discovery document; every ``href`` in it begins with ``base``."""

    def link(rel: str, path: str, name: str, method: str | None) -> Json:
        return {"link": {"rel": rel, "href": base + path, "name": name, "method": method}}

    return {
        "href": base,
        "links": [
            link("documentation", "/documentation/index.html", "documentation", "GET"),
            link("root", "/config-root", "config-root", None),
            *(link("collection", f"/{one}s", one, None) for one in RESOURCE_TYPES),
            *(link("resource-base", f"/{one}", one, None) for one in RESOURCE_TYPES),
            *(link("action", path, name, method) for name, method, path in ACTIONS),
        ],
    }
