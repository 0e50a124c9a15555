"""Nothing that upstream's client library knows is missing from the model.

The library's generated classes carry their schema with them: members, kinds, enumerations, ranges.
The model is of a later schema, so it may have more; it has no less, and takes every value that the
library says may be.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.interop.upstream_objects import CLASSES
from vnc_api.gen import resource_xsd as xsd

from tungsten.model import resource_type, schema

SERVED = schema.describe()


def complex_types() -> set[str]:
    """The complex types of the library that objects use, directly or by way of others."""
    found: set[str] = set()

    def walk(name: str) -> None:
        if name == "None" or name in found:
            return
        found.add(name)
        for member in getattr(xsd, name).attr_field_type_vals.values():
            if member["is_complex"]:
                walk(member["attr_type"])

    for cls in CLASSES.values():
        for one in cls.prop_field_types.values():
            if one["is_complex"]:
                walk(one["xsd_type"])
        for reference in cls.ref_field_types.values():
            walk(reference[1])
    return found


def differences(name: str, known: Any, kind: str, served: Any) -> Iterator[str]:
    """What the library says of a member and the model does not."""
    if served is None:
        yield f"{name} is missing"
        return
    if known["is_complex"] and served["type"] != kind:
        yield f"{name} is of type {served['type']}, not {kind}"
    match known["restriction_type"]:
        case "enum":
            unknown = set(known["restrictions"]) - set(served.get("enum", known["restrictions"]))
            if unknown:
                yield f"{name} may not be {unknown}"
        case "range":
            low, high = (int(bound) for bound in known["restrictions"])
            if served.get("minimum", low) > low or served.get("maximum", high) < high:
                yield f"{name} may not be {low} to {high}"


@pytest.mark.parametrize("type_", sorted(CLASSES))
def test_a_type_has_all_members_and_links(type_: str) -> None:
    cls, declared = CLASSES[type_], resource_type(type_)
    served = {one["name"]: one for one in SERVED["objects"][type_]["properties"]}
    found = [
        difference
        for name, known in cls.prop_field_types.items()
        for difference in differences(name, known, known["xsd_type"], served.get(name))
    ]
    assert found == []
    assert cls.ref_fields <= set(declared.references)
    assert cls.children_fields <= set(declared.children)
    symmetric = {f"{cls.object_type}_back_refs"}
    assert cls.backref_fields - symmetric <= set(declared.back_references)
    assert set(cls.parent_types) - {"config-root"} <= set(declared.parents)
    for field, (target, attribute, *_) in cls.ref_field_types.items():
        reference = declared.references[field]
        assert reference.target == target
        attr = None if reference.attr is None else reference.attr.__name__
        assert attr == (None if attribute == "None" else attribute)


@pytest.mark.parametrize("name", sorted(complex_types()))
def test_a_complex_type_has_all_members(name: str) -> None:
    served = {one["name"]: one for one in SERVED["types"][name]["fields"]}
    known = getattr(xsd, name).attr_field_type_vals
    found = [
        difference
        for member, one in known.items()
        for difference in differences(member, one, one["attr_type"], served.get(member))
    ]
    assert found == []
    many = {member for member, one in known.items() if one["is_array"]}
    assert {member for member in known if served[member].get("list")} == many
