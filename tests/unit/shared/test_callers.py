"""Callers are read from the claims of tokens and restrict queries to the rows that they may see."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from shared.auth.callers import Caller
from shared.auth.rights import Right
from shared.tables.registry import Organisation, Page

CLAIMS: dict[str, Any] = {"sub": "somebody", "role": "manager", "org": str(UUID(int=1))}


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({}, False),
        ({"include_subordinates": True}, True),
        # The name of the claim in tokens of the previous version.
        ({"beneath": True}, True),
        ({"beneath": "yes"}, False),
        ({"include_subordinates": False, "beneath": True}, False),
    ],
)
def test_claim_decides_whether_subordinates_are_included(claims: dict[str, Any], expected: bool) -> None:
    caller = Caller.from_claims(CLAIMS | claims)
    assert (caller.include_subordinates, caller.organisation_id) == (expected, UUID(int=1))


def test_claims_say_when_the_token_expires() -> None:
    assert Caller.from_claims(CLAIMS | {"exp": 1795399204}).expires_at == datetime(
        2026, 11, 23, 2, 0, 4, tzinfo=UTC
    )
    assert Caller.from_claims(CLAIMS).expires_at is None


def test_query_of_a_caller_with_the_whole_region_is_unchanged() -> None:
    query = select(Page.id)
    moderator = Caller.from_claims({"sub": "somebody", "role": "moderator"}).with_right(Right.APPEALS_READ)
    assert moderator.restrict(query, Page.organisation_id) is query


def test_query_of_staff_is_restricted_to_their_organisation() -> None:
    query = select(Page.id)
    manager = Caller.from_claims(CLAIMS).with_right(Right.APPEALS_READ)
    restricted = manager.restrict(query, Page.organisation_id)
    assert str(restricted) == str(query.where(Page.organisation_id == UUID(int=1)))


def test_query_without_a_right_is_refused() -> None:
    with pytest.raises(RuntimeError, match="must require a right"):
        Caller.from_claims(CLAIMS).restrict(select(Organisation.id), Organisation.id)
