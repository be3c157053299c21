"""Page addresses as people paste them: each names one community or is refused with a reason."""

import csv
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.registry.pages.page_addresses import InvalidPageAddress, PageAddress, parse_address
from shared.networks import NETWORKS, NetworkInfo

with (Path(__file__).parent / "addresses.csv").open(encoding="utf-8", newline="") as _file:
    SPELLINGS = list(csv.DictReader(_file))
RESOLVED = [row for row in SPELLINGS if row["found"]]
REFUSED = [row for row in SPELLINGS if not row["found"]]


def named(row: dict[str, str]) -> str:
    return f"{row['text']} {row['network']}"


@pytest.mark.parametrize("row", RESOLVED, ids=named)
def test_address_is_parsed(row: dict[str, str]) -> None:
    expected = PageAddress(row["found"], row["external_id"] or None, row["screen_name"] or None)
    assert parse_address(row["text"], row["network"] or None) == expected


@pytest.mark.parametrize("row", REFUSED, ids=named)
def test_address_without_community_is_refused_with_a_reason(row: dict[str, str]) -> None:
    with pytest.raises(InvalidPageAddress) as refused:
        parse_address(row["text"], row["network"] or None)
    assert row["reason"] in refused.value.reason


@pytest.mark.parametrize(
    "text",
    [
        "\u200bhttps://vk.com/club101",
        "https://vk.com/club\u00ad101",
        "\ufeffvk.com/club101",
        "\xa0vk.com/club101\n",
    ],
)
def test_invisible_characters_are_ignored(text: str) -> None:
    assert parse_address(text) == PageAddress("vk", "101")


OTHER = {"other": NetworkInfo("Другая сеть", "https://other.example/channel/{id}")}


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("https://other.example/channel/101", None),
        ("m.other.example/channel/101/", "other"),
        ("https://www.other.example/channel/0101/videos?page=2", None),
        ("101", "other"),
    ],
)
@patch.dict(NETWORKS, OTHER)
def test_page_of_a_network_without_a_parser_is_recognised_by_its_url(text: str, network: str | None) -> None:
    assert parse_address(text, network) == PageAddress("other", "101")


@pytest.mark.parametrize(
    ("text", "network", "reason"),
    [
        ("https://other.example/channel/", None, "a page in Другая сеть is https://other.example/channel/{id}"),
        ("https://other.example/video/101", None, "names no page"),
        ("https://other.example/channel/0", None, "not zero"),
        ("school71", "other", "no short names"),
        ("https://other.example/channel/101", "vk", "not in ВКонтакте"),
    ],
)
@patch.dict(NETWORKS, OTHER)
def test_invalid_address_of_a_network_without_a_parser_is_refused_with_the_reason(
    text: str, network: str | None, reason: str
) -> None:
    with pytest.raises(InvalidPageAddress) as refused:
        parse_address(text, network)
    assert reason in refused.value.reason


def test_overlong_text_is_refused() -> None:
    with pytest.raises(InvalidPageAddress, match="longer than"):
        parse_address("vk.com/club101 " * 1_000)


def outcome(text: str, network: str | None = None) -> PageAddress | str:
    try:
        return parse_address(text, network)
    except InvalidPageAddress as refused:
        return refused.reason


@given(st.text(), st.sampled_from([None, *NETWORKS]))
def test_any_text_gives_an_address_or_a_reason(text: str, network: str | None) -> None:
    found = outcome(text, network)
    if isinstance(found, PageAddress):
        assert (found.external_id is None) != (found.screen_name is None)
        assert network in {None, found.network}
    else:
        assert found


@given(
    st.sampled_from(["https://vk.com/", "vk.ru/", "m.vk.com/", "https://ok.ru/"]),
    st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), max_size=30),
)
def test_any_path_gives_an_address_or_a_reason(start: str, path: str) -> None:
    found = outcome(start + path)
    if isinstance(found, PageAddress):
        assert found.network == ("ok" if "ok.ru" in start else "vk")
    else:
        assert found
