"""Profiles of pages: invalid fields are ignored, values are made storable."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.ingest.networks.lookup_port import clean_text, parse_count, post_activity
from services.ingest.networks.ok import ok_page_lookup as ok
from services.ingest.networks.vk import vk_page_lookup as vk

NOW = datetime(2026, 11, 25, tzinfo=UTC)
# Invalid values that a network might return.
ODD: list[Any] = [None, True, -1, 10**30, 1.5, "", "\x00", "\ud83d", [], [[]], {}, {"enabled": []}, [None]]


@pytest.mark.parametrize(
    ("given", "kept"),
    [("  Школа № 1 ", "Школа № 1"), ("a\x00b", "ab"), ("x\ud83d", "x\ufffd"), ("", None), (7, None), (None, None)],
)
def test_clean_text_is_storable(given: object, kept: str | None) -> None:
    assert clean_text(given) == kept


def test_clean_text_is_cut_to_limit() -> None:
    assert clean_text("я" * 5_000) == "я" * 1_000


@pytest.mark.parametrize(("given", "kept"), [(5, 5), (0, 0), (-1, None), (2**60, None), (True, None), ("5", None)])
def test_parse_count_accepts_only_valid_counts(given: object, kept: int | None) -> None:
    assert parse_count(given) == kept


def test_post_activity_ignores_invalid_times() -> None:
    day = NOW.timestamp()
    times = [day - 60, day - 9 * 86_400, None, "вчера", -1, 10**30]
    found = post_activity([(str(number), at) for number, at in enumerate(times)], NOW - timedelta(days=7))
    assert (found.last_post_at, found.post_ids) == (NOW - timedelta(seconds=60), ("0",))
    assert post_activity([], NOW).last_post_at is None


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_invalid_values_of_vk_fields_are_ignored(odd: object) -> None:
    fields = (*vk.PROFILE_FIELDS.split(","), "name")
    said = vk._described("1", {"id": 1} | dict.fromkeys(fields, odd))
    assert said.name is None or "\x00" not in said.name
    assert said.members is None


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_invalid_values_of_ok_fields_are_ignored(odd: object) -> None:
    said = ok._described("1", dict.fromkeys(ok.PROFILE_FIELDS.split(","), odd))
    assert said.name is None or "\x00" not in said.name
    assert said.members is None


def test_vk_profile_has_main_address_with_city_and_phone() -> None:
    place = {"id": 1, "address": "Ленина, 54", "city": {"id": 1, "title": "Улан-Удэ"}, "phone": "8 301 221-44-11"}
    said = vk._described(
        "1", {"id": 1, "addresses": {"is_enabled": True, "main_address": place}, "contacts": [{}]}
    )
    assert (said.address, said.phone) == ("Улан-Удэ, Ленина, 54", "8 301 221-44-11")


@pytest.mark.parametrize(
    ("status", "outcome"),
    [("ACTIVE", "open"), ("Мы открылись!", "open"), ("DISABLED", "closed"), ("BLOCKED", "closed")],
)
def test_only_known_ok_statuses_close_group(status: str, outcome: str) -> None:
    assert ok._described("1", {"uid": "1", "status": status}).availability == outcome
