"""Custom headers of endpoints: which names and values are allowed, and removal of values from stored responses."""

import pytest

from services.webhooks.endpoints.custom_headers import MAX_VALUE_LENGTH, require_valid_headers, without_values
from shared.http.problems import Invalid

TOKEN = "Bearer 5f2b1c0e8d7a"


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": TOKEN},
        {"X-Api-Key": "~"},
        {"x.tenant_1": "a b"},
        {"X-Long": "x" * MAX_VALUE_LENGTH},
        {"Contents": "x", "Hostname": "x"},
    ],
)
def test_header_is_allowed(headers: dict[str, str]) -> None:
    require_valid_headers(headers)


@pytest.mark.parametrize(
    "name",
    [
        "Host", "host", "Content-Type", "content-length", "Transfer-Encoding", "Connection", "webhook-id",
        "Webhook-Signature", "User-Agent", "Cookie", "Keep-Alive", "TE", "Trailer", "Upgrade",
        "Proxy-Authorization", "Expect", "", "X Key", "X:Key", "X\r\nKey", "Ключ", "x" * 101,
    ],
)  # fmt: skip
def test_reserved_or_malformed_name_is_refused(name: str) -> None:
    with pytest.raises(Invalid) as refused:
        require_valid_headers({name: "value"})
    [error] = refused.value.errors
    assert error.pointer == f"/headers/{name}"


@pytest.mark.parametrize("value", ["", " x", "x ", "x\ny", "x\x00", "ключ", "x" * (MAX_VALUE_LENGTH + 1), "\t"])
def test_malformed_value_is_refused_without_repeating_it(value: str) -> None:
    with pytest.raises(Invalid) as refused:
        require_valid_headers({"X-Fine": "fine", "X-Key~": value})
    [error] = refused.value.errors
    assert error.pointer == "/headers/X-Key~0"
    assert len(value) < 2 or value not in error.detail


def test_name_in_upper_and_lower_case_is_refused() -> None:
    with pytest.raises(Invalid) as refused:
        require_valid_headers({"X-Key": "one", "x-key": "two"})
    assert [error.pointer for error in refused.value.errors] == ["/headers/x-key"]


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        (f"you sent {TOKEN}!", "you sent [header]!"),
        ('{"token": "5f2b1c0e8d7a"}', '{"token": "[header]"}'),
        ("cut off: Bearer 5f2b1", "cut off: [header]"),
        ("cut off: 5f2b1c0e8d", "cut off: [header]"),
        ("nothing", "nothing"),
        ("Bearer", "Bearer"),
    ],
)
def test_values_in_a_response_are_replaced(text: str, stored: str) -> None:
    assert without_values(text, {"Authorization": TOKEN, "X-Flag": "1"}) == stored
