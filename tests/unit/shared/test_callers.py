"""Callers are read from the claims of tokens."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from shared.auth.callers import Caller

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
