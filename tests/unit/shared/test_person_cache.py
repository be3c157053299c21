"""The cache of people of the external issuer: a missing person is not looked up for each of their tokens."""

from datetime import UTC, datetime, timedelta

import pytest

from shared import clock, identity
from shared.auth.oidc import VerifiedIdentity
from shared.identity import Claims, PersonCache

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


def token(number: int, subject: str = "stranger") -> VerifiedIdentity:
    """Return the identity in a token; tokens of one subject differ by the time of issue."""
    return VerifiedIdentity("https://issuer", subject, NOW, float(number))


class Registry:
    """A registry with the people who have access; records the subjects that were looked up."""

    def __init__(self) -> None:
        self.people: dict[str, Claims] = {"known": {"sub": "1"}}
        self.asked: list[str] = []

    async def find(self, verified: VerifiedIdentity) -> Claims | None:
        self.asked.append(verified.subject)
        return self.people.get(verified.subject)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    moments = [NOW]
    monkeypatch.setattr(clock, "now", lambda: moments[-1])
    return moments


async def test_new_tokens_of_a_stranger_are_looked_up_once_a_second(now: list[datetime]) -> None:
    registry = Registry()
    cache = PersonCache(registry.find)
    for second in range(3):
        now.append(NOW + second * identity.MISS_PAUSE)
        found = [await cache.claims(token(100 * second + number)) for number in range(20)]
        assert (found, registry.asked) == ([None] * 20, ["stranger"] * (second + 1))
    assert await cache.claims(token(1, "known")) == {"sub": "1"}


async def test_slow_lookup_after_the_pause_is_made_only_once(now: list[datetime]) -> None:
    registry = Registry()
    cache: PersonCache

    async def find(verified: VerifiedIdentity) -> Claims | None:
        if len(registry.asked) == 1:
            registry.asked.append("slow")
            assert await cache.claims(token(3)) is None
            return None
        return await registry.find(verified)

    cache = PersonCache(find)
    await cache.claims(token(1))
    now.append(NOW + identity.MISS_PAUSE)
    await cache.claims(token(2))
    assert registry.asked == ["stranger", "slow"]


async def test_person_who_is_given_access_is_found_with_a_new_token_after_a_second(now: list[datetime]) -> None:
    registry = Registry()
    cache = PersonCache(registry.find)
    assert await cache.claims(token(1)) is None
    registry.people["stranger"] = {"sub": "2"}
    assert await cache.claims(token(2)) is None
    now.append(NOW + timedelta(seconds=1))
    assert await cache.claims(token(2)) == {"sub": "2"}
    # A token of another sign-in, issued before the access was granted, is looked up at once.
    assert await cache.claims(token(3)) == {"sub": "2"}
    assert registry.asked == ["stranger"] * 3
