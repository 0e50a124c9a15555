"""Which calls rules allow: the rules as such, without requests."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tungsten.api.rbac import allows, merge, object_of
from tungsten.model import RESOURCE_TYPES
from tungsten.model.access import RbacPermType, RbacRuleType


def rule(object_: str, role: str, letters: str, field: str | None = None) -> RbacRuleType:
    perm = RbacPermType(role_name=role, role_crud=letters)
    return RbacRuleType(rule_object=object_, rule_field=field, rule_perms=[perm])


def test_a_path_is_about_a_type_or_an_action() -> None:
    types = RESOURCE_TYPES.keys()
    assert object_of("/virtual-networks", types) == "virtual-network"
    assert object_of("/virtual-network/u/ip-alloc", types) == "virtual-network"
    assert object_of("/fqname-to-id", types) == "fqname-to-id"
    assert object_of("/int-pools", types) == "int-pools"
    assert object_of("/", types) == "/"


def test_without_a_rule_a_call_is_refused() -> None:
    assert not allows({}, ["member"], "R", "virtual-network")
    assert not allows(merge([rule("port", "*", "CRUD")]), ["member"], "R", "virtual-network")


def test_a_rule_is_for_its_letters_and_roles() -> None:
    rules = merge([rule("virtual-network", "member", "CR")])
    assert allows(rules, ["other", "member"], "C", "virtual-network")
    assert not allows(rules, ["member"], "D", "virtual-network")
    assert not allows(rules, ["other"], "R", "virtual-network")
    assert not allows(rules, [], "R", "virtual-network")
    assert not allows(rules, ["Member"], "R", "virtual-network")


def test_rules_of_several_lists_add_up() -> None:
    rules = merge([rule("virtual-network", "m", "C"), rule("virtual_network", "m", "R", "*")])
    assert allows(rules, ["m"], "C", "virtual-network")
    assert allows(rules, ["m"], "R", "virtual-network")


def test_the_rule_of_an_object_comes_before_that_of_all() -> None:
    rules = merge([rule("*", "m", "CRUD"), rule("virtual-network", "m", "R")])
    assert not allows(rules, ["m"], "C", "virtual-network")
    assert allows(rules, ["m"], "C", "security-group")


def test_a_rule_of_all_does_not_let_anyone_change_the_rules() -> None:
    rules = merge([rule("*", "m", "CRUD")])
    assert allows(rules, ["m"], "R", "api-access-list")
    assert not any(allows(rules, ["m"], letter, "api-access-list") for letter in "CUD")
    rules = merge([rule("*", "m", "CRUD"), rule("api-access-list", "m", "C")])
    assert allows(rules, ["m"], "C", "api-access-list")


def test_fields_with_rules_of_their_own_must_allow() -> None:
    rules = merge(
        [rule("virtual-network", "m", "CRUD"), rule("virtual-network", "n", "U", "is_shared")]
    )
    assert allows(rules, ["m"], "U", "virtual-network", ["display_name"])
    assert not allows(rules, ["m"], "U", "virtual-network", ["display_name", "is_shared"])
    assert allows(rules, ["m", "n"], "U", "virtual-network", ["display_name", "is_shared"])
    assert allows(rules, ["n"], "U", "virtual-network", ["is_shared"])
    assert not allows(rules, ["n"], "U", "virtual-network", ["is_shared", "display_name"])


NAMES = st.sampled_from(["virtual-network", "virtual_network", "*", "security-group", "", "/"])
LETTERS = st.text("CRUDx", max_size=5)
RULES = st.lists(
    st.builds(
        rule, NAMES, st.sampled_from(["m", "n", "*", ""]), LETTERS, st.sampled_from([None, "", "a"])
    ),
    max_size=6,
)


@given(RULES, RULES, st.sampled_from("CRUD"), st.lists(st.sampled_from("abc"), max_size=3))
def test_more_letters_never_take_a_right_away(
    some: list[RbacRuleType], more: list[RbacRuleType], letter: str, fields: list[str]
) -> None:
    before = merge(some)
    after = merge([*some, *(one for one in more if known(one, some))])
    if allows(before, ["m"], letter, "virtual-network", fields):
        assert allows(after, ["m"], letter, "virtual-network", fields)


def known(one: RbacRuleType, some: list[RbacRuleType]) -> bool:
    return merge([one]).keys() <= merge(some).keys()
