"""What each role may do."""

from __future__ import annotations

import pytest

from libs.access.identity import CALLER, Decision, Identity, Requirement, Role, Scope, answering, decide

READ = Requirement(Role.VIEWER, Scope.INCIDENTS_READ)
WRITE = Requirement(Role.RESPONDER, Scope.INCIDENTS_WRITE)
MANAGE = Requirement(Role.ADMIN, Scope.ACCESS_WRITE)
SEND = Requirement(Role.SERVICE, Scope.TELEMETRY_WRITE)
YES, LOW, MISSING = Decision.ALLOWED, Decision.ROLE_TOO_LOW, Decision.SCOPE_MISSING


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        (Role.VIEWER, (YES, LOW, LOW, LOW)),
        (Role.RESPONDER, (YES, YES, LOW, LOW)),
        (Role.ADMIN, (YES, YES, YES, YES)),
        (Role.SERVICE, (MISSING, MISSING, LOW, MISSING)),
    ],
)
def test_people_climb_a_ladder_and_a_service_without_scopes_may_do_nothing(
    role: Role, expected: tuple[Decision, ...]
) -> None:
    caller = Identity("acme", role)

    assert tuple(decide(caller, asked) for asked in (READ, WRITE, MANAGE, SEND)) == expected


def test_a_service_may_do_what_its_scopes_name_but_never_manage() -> None:
    caller = Identity("acme", Role.SERVICE, frozenset(Scope))

    assert tuple(decide(caller, asked) for asked in (READ, WRITE, MANAGE, SEND)) == (YES, YES, LOW, YES)


def test_scopes_narrow_a_persons_key_and_never_widen_it() -> None:
    narrow = Identity("acme", Role.ADMIN, frozenset({Scope.INCIDENTS_READ}))
    viewer = Identity("acme", Role.VIEWER, frozenset({Scope.INCIDENTS_WRITE}))

    assert tuple(decide(narrow, asked) for asked in (READ, WRITE, SEND)) == (YES, MISSING, MISSING)
    assert tuple(decide(viewer, asked) for asked in (READ, WRITE)) == (MISSING, LOW)


def test_the_actor_names_the_key_too_since_names_can_be_used_again() -> None:
    assert Identity("acme", Role.RESPONDER, key_id="3f9c", name="Ana").actor == "Ana (responder key 3f9c)"
    assert Identity("acme", Role.SERVICE, name="correlation_engine").actor == "correlation_engine"
    assert Identity("acme", Role.ADMIN).actor == ""


def test_the_caller_answered_is_the_first_one_and_nobody_afterwards() -> None:
    first, second = Identity("shop", Role.VIEWER), Identity("other", Role.VIEWER)
    with answering(None):
        assert CALLER.get(None) is None
    with answering(first), answering(second):
        assert CALLER.get() is first
    assert CALLER.get(None) is None
