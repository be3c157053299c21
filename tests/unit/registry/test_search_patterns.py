"""Search patterns of names, and the length of throttle blocks."""

from datetime import timedelta

from services.registry.authentication.throttle import block_duration
from services.registry.persistence.search_patterns import like_patterns


def test_wildcards_in_words_are_escaped() -> None:
    assert like_patterns("Школа 100%_\\") == ["%школа%", "%100\\%\\_\\\\%"]
    assert like_patterns("  ") == []


def test_throttle_blocks_double_up_to_the_maximum() -> None:
    assert [block_duration(failures) for failures in (1, 4, 5, 6, 9, 10, 10_000)] == [
        timedelta(),
        timedelta(),
        timedelta(seconds=30),
        timedelta(seconds=60),
        timedelta(seconds=480),
        timedelta(minutes=15),
        timedelta(minutes=15),
    ]
