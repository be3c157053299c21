"""The nesting depth of JSON, computed without recursion."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.http.json_depth import too_deep

VALUES = st.recursive(
    st.none() | st.integers() | st.text(alphabet='[]{}"\\aж'),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet='[{"\\'), inner, max_size=3),
)


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    return 1 + max(map(_depth, value), default=0) if isinstance(value, list) else 0


@given(VALUES, st.integers(0, 4), st.booleans())
def test_depth_equals_that_of_the_parsed_value(value: Any, most: int, plain: bool) -> None:
    assert too_deep(json.dumps(value, ensure_ascii=plain).encode(), most) is (_depth(value) > most)


@pytest.mark.parametrize(
    "body", [b"[" * 1_000_000, b'{"a":' * 100_000, b'"' + b"\\" * 9 + b"[" * 300, b"[[" * 200]
)
def test_invalid_json_raises_no_error(body: bytes) -> None:
    assert too_deep(body) is (body[:1] != b'"')
