"""The rate limit of senders of rejected events."""

import pytest

from services.ingest.callbacks.sender_rate_limit import MAX_REJECTIONS, RejectedSenderLimit


@pytest.mark.parametrize(
    ("senders", "other"),
    [
        (["203.0.113.9"], "203.0.113.10"),
        ([f"2001:db8:0:1::{number:x}" for number in range(MAX_REJECTIONS)], "2001:db8:0:2::1"),
    ],
)
async def test_rejections_are_limited_by_ipv4_address_or_ipv6_network(senders: list[str], other: str) -> None:
    limit = RejectedSenderLimit()
    for number in range(MAX_REJECTIONS):
        assert not limit.exceeded(senders[0])
        limit.record(senders[number % len(senders)])
    assert limit.exceeded(senders[0])
    assert not limit.exceeded(other)
