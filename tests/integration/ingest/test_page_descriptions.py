"""Profiles of pages, which the registry requests from ingest."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from tests.conftest import TestDatabase
from tests.integration.ingest.conftest import KEYS, TOKEN_FIELDS, Emulator
from tests.support.service_under_test import ServiceUnderTest, insert_organisation, insert_page, service_under_test

TOLD = {
    "phone": "8 (3012) 21-44-11",
    "address": "ул. Ленина, 54",
    "site": "https://example.invalid",
    "cover": True,
}


@dataclass(frozen=True)
class DescribedPages:
    """Ingest's API with the emulators' tokens that belong to no page."""

    ingest: ServiceUnderTest
    database: TestDatabase
    raw_connection: asyncpg.Connection
    organisation: UUID

    async def page(self, network: str, external_id: str) -> UUID:
        """Register a page of the organisation; return its id."""
        return await insert_page(self.database, self.organisation, network=network, external_id=external_id)

    async def describe(
        self, *page_ids: UUID, call_budget: int = 100, wall_read_budget: int = 0, **budgets: int
    ) -> dict[str, Any]:
        """Return the profiles of the pages, requested as the registry does."""
        answer = await self.ingest.client.post(
            "/internal/pages/describe",
            json={
                "page_ids": [str(one) for one in page_ids],
                "call_budget": call_budget,
                "wall_read_budget": wall_read_budget,
                **budgets,
            },
            headers=self.ingest.service_headers("registry"),
        )
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


@pytest.fixture
async def described(
    vk: Emulator, ok: Emulator, database: TestDatabase, keys_dir: Path
) -> AsyncIterator[DescribedPages]:
    # No rate limit in the emulator: it would count calls of the previous test, which used another database.
    vk.post("settings", user_per_second=0)
    raw_connection = await database.connect()
    organisation = await insert_organisation(database)
    urls = {"vk_api_url": vk.url, "ok_api_url": ok.url}
    async with service_under_test("ingest", database, keys_dir, process="api", **KEYS, **urls) as ingest:
        for network, emulator in (("vk", vk), ("ok", ok)):
            emulator.page(f"{network}_any")
            for token in emulator.tokens():
                if token["kind"] == "group":
                    continue
                body = {key: token[key] for key in token if key in TOKEN_FIELDS} | {"network": network}
                answer = await ingest.client.post(
                    "/api/v1/sources/tokens", json=body, headers=ingest.headers("moderator")
                )
                assert answer.status_code in {200, 201}, answer.text
        yield DescribedPages(ingest, database, raw_connection, organisation)
    await raw_connection.close()


def calls(emulator: Emulator) -> int:
    """Return the number of calls that the network counted."""
    return sum(
        item["accepted"] + item["refused"] for item in emulator.control.get("/_control/calls").json()["items"]
    )


@pytest.mark.parametrize("network", ["vk", "ok"])
async def test_profile_contains_appearance_contacts_and_posts_of_the_page(
    network: str, described: DescribedPages, request: pytest.FixtureRequest
) -> None:
    emulator: Emulator = request.getfixturevalue(network)
    name = f"{network}_shows"
    page = emulator.page(name)
    emulator.post("page", page=page, description="Школа в центре города", **TOLD)
    for text in ("Новость", "Ещё одна"):
        emulator.post("post", page=page, text=text)
    emulator.citizen(page, "Спасибо!", kind="wall_post")
    page_id = await described.page(network, page)
    before = calls(emulator)
    answer = await described.describe(page_id, wall_read_budget=1)
    assert answer["calls"] == calls(emulator) - before == 2
    (said,) = answer["items"]
    assert (said["state"], said["reason"], said["name"]) == ("open", None, name)
    assert (said["screen_name"], said["verified"], said["avatar"], said["cover"]) == (name, True, True, True)
    assert (said["description"], said["phone"]) == (True, "+7 301 221-44-11")
    assert (said["address"], said["site"]) == (TOLD["address"], TOLD["site"])
    assert said["comments_open"] is True
    assert said["members"] > 0
    assert said["posts_7_days"] == 3, "the first topic and two more; a citizen's post is not the page's"
    assert said["last_post_at"] is not None


@pytest.mark.parametrize(("network", "has_views"), [("vk", True), ("ok", False)])
async def test_audience_of_posts_is_described_and_its_calls_are_counted(
    *, network: str, has_views: bool, described: DescribedPages, request: pytest.FixtureRequest
) -> None:
    emulator: Emulator = request.getfixturevalue(network)
    page = emulator.page(f"{network}_audience")
    emulator.citizen(page, "Спасибо!")
    page_id = await described.page(network, page)
    before = calls(emulator)
    answer = await described.describe(page_id, wall_read_budget=1, reaction_call_budget=5, reach_call_budget=5)
    inner = 2 if network == "vk" else 0
    assert calls(emulator) - before - inner == answer["calls"] + answer["reach_calls"] == 4
    (said,) = answer["items"]
    assert (answer["reach_calls"], said["calls"]) == (1, 2), "the wall and the reach are the page's own"
    assert said["comments_7_days"] == 1
    assert (said["likes_7_days"], said["reposts_7_days"]) == (0, 0), "a post of this minute"
    assert said["views_7_days"] == (0 if has_views else None), "OK does not report views"
    assert (said["reach_7_days"], said["reach_counted_by"]) == (0, "week" if has_views else "days")
    assert said["mean_post_reach"] == (0 if has_views else None)


@pytest.mark.parametrize("network", ["vk", "ok"])
async def test_refused_reach_is_unknown_and_other_data_is_returned(
    network: str, described: DescribedPages, request: pytest.FixtureRequest
) -> None:
    emulator: Emulator = request.getfixturevalue(network)
    other = emulator.page(f"{network}_stranger")
    page = emulator.page(f"{network}_refused")
    page_id = await described.page(network, page)
    stranger = emulator.post("tokens", kind="user", page=other)
    body = {key: stranger[key] for key in stranger if key in TOKEN_FIELDS}
    made = await described.ingest.client.post(
        "/api/v1/sources/tokens",
        json=body | {"network": network, "page_id": str(page_id)},
        headers=described.ingest.headers("moderator"),
    )
    assert made.status_code in {200, 201}, made.text

    for reach_calls in (1, 0):
        answer = await described.describe(page_id, wall_read_budget=1, reaction_call_budget=5, reach_call_budget=5)
        (said,) = answer["items"]
        assert (said["reach_7_days"], said["mean_post_reach"], said["reach_counted_by"]) == (None, None, None)
        assert answer["reach_calls"] == reach_calls, "a refused page is not asked for again"
        assert (said["state"], said["posts_7_days"], said["likes_7_days"]) == ("open", 1, 0)
        assert answer["error"] is None


@pytest.mark.parametrize("network", ["vk", "ok"])
async def test_posts_are_unknown_without_calls_for_walls(
    network: str, described: DescribedPages, request: pytest.FixtureRequest
) -> None:
    emulator: Emulator = request.getfixturevalue(network)
    page_id = await described.page(network, emulator.page(f"{network}_unread"))
    before = calls(emulator)
    answer = await described.describe(page_id)
    assert calls(emulator) - before == answer["calls"] == 1
    assert answer["items"][0]["posts_7_days"] is None


@pytest.mark.parametrize(("network", "source"), [("vk", "wall_poll"), ("ok", "topics_poll")])
async def test_recently_read_wall_is_described_without_a_call(
    network: str, source: str, described: DescribedPages, request: pytest.FixtureRequest
) -> None:
    emulator: Emulator = request.getfixturevalue(network)
    page_id = await described.page(network, emulator.page(f"{network}_known"))
    await described.raw_connection.execute(
        "INSERT INTO sources (id, page_id, kind, cursor, last_success_at, consecutive_failures, updated_at)"
        " VALUES (gen_random_uuid(), $1, $2, '{}', now() - interval '20 hours', 0, now())",
        page_id,
        source,
    )
    for number, (days, own, deleted) in enumerate(
        [(1, True, False), (9, True, False), (0, False, False), (0, True, True)]
    ):
        await described.raw_connection.execute(
            "INSERT INTO messages (id, network, kind, external_id, page_id, organisation_id, thread_key,"
            " from_community, text, attachments, url, history, source_kind, written_at, received_at, version, raw,"
            " deleted_at) VALUES (gen_random_uuid(), $1, 'wall_post', $2, $3, $4, $2, $5, 'Новость', '[]', '',"
            " false, $6, now() - $7 * interval '1 day', now(), 1, '{}', CASE WHEN $8 THEN now() END)",
            network,
            f"known_{number}",
            page_id,
            described.organisation,
            own,
            source,
            days,
            deleted,
        )
    before = calls(emulator)
    (said,) = (await described.describe(page_id, wall_read_budget=5))["items"]
    assert calls(emulator) - before == 1
    assert said["posts_7_days"] == 1
    last = await described.raw_connection.fetchval("SELECT written_at FROM messages WHERE external_id = 'known_0'")
    assert said["last_post_at"] == last.isoformat().replace("+00:00", "Z")


@pytest.mark.parametrize(
    ("network", "change", "state", "reason"),
    [
        ("vk", {"deactivated": "banned"}, "closed", "banned"),
        ("vk", {"deactivated": "deleted"}, "closed", "deleted"),
        ("vk", {"is_closed": 2}, "closed", "private_group"),
        ("ok", {"deactivated": True}, "closed", "banned"),
        ("ok", {"closed": True}, "closed", "private_group"),
        ("ok", {"removed": True}, "gone", "not_found"),
    ],
)
async def test_closed_and_missing_pages_are_reported(
    *,
    network: str,
    change: dict[str, Any],
    state: str,
    reason: str,
    described: DescribedPages,
    request: pytest.FixtureRequest,
) -> None:
    emulator: Emulator = request.getfixturevalue(network)
    pages = [emulator.page(f"{network}_{reason}_{name}") for name in ("one", "two")]
    emulator.post("page", page=pages[0], **change)
    ids = [await described.page(network, page) for page in pages]
    answer = await described.describe(*ids, wall_read_budget=2)
    described_by_id = {item["page_id"]: item for item in answer["items"]}
    assert (described_by_id[str(ids[0])]["state"], described_by_id[str(ids[0])]["reason"]) == (state, reason)
    assert described_by_id[str(ids[1])]["state"] == "open"
    assert answer["calls"] == 2, "walls of closed pages must not be requested"


async def test_call_budget_of_a_request_is_not_exceeded(
    described: DescribedPages, vk: Emulator, ok: Emulator
) -> None:
    ids = [await described.page("vk", vk.page("vk_first")), await described.page("ok", ok.page("ok_second"))]
    before = calls(vk) + calls(ok)
    answer = await described.describe(*ids, call_budget=1, wall_read_budget=5)
    assert calls(vk) + calls(ok) - before == answer["calls"] == 1
    assert [item["page_id"] for item in answer["items"]] == [str(ids[0])]
    answer = await described.describe(*ids, call_budget=3, wall_read_budget=5)
    assert answer["calls"] == 3
    assert [item["posts_7_days"] for item in answer["items"]] == [1, None]


async def test_unknown_page_id_is_reported_as_gone(described: DescribedPages) -> None:
    page_id = await described.page("vk", "199999999")
    (said,) = (await described.describe(page_id))["items"]
    assert (said["state"], said["reason"]) == ("gone", "not_found")


async def test_pages_of_an_unreachable_network_are_omitted(
    described: DescribedPages, vk: Emulator, ok: Emulator
) -> None:
    ids = [await described.page("vk", vk.page("vk_silent")), await described.page("ok", ok.page("ok_speaks"))]
    vk.post("faults", kind="error", rate=1, code=10, method="groups.getById")
    answer = await described.describe(*ids)
    assert [item["page_id"] for item in answer["items"]] == [str(ids[1])]
    assert "groups.getById" in answer["error"]


@pytest.mark.parametrize("network", ["vk", "ok"])
async def test_response_without_any_of_many_pages_is_an_error(
    network: str, described: DescribedPages, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue(network)
    response = await described.describe(
        *[await described.page(network, str(998_000_000_000_001 + n)) for n in range(3)]
    )
    assert response["items"] == []
    assert network in str(response["error"])


@pytest.mark.parametrize("granted", [1, 2, 5])
@pytest.mark.parametrize(("network", "method"), [("vk", "groups.getById"), ("ok", "group.getInfo")])
async def test_retries_count_as_calls(
    granted: int, network: str, method: str, described: DescribedPages, request: pytest.FixtureRequest
) -> None:
    emulator: Emulator = request.getfixturevalue(network)
    page_id = await described.page(network, emulator.page(f"{network}_again{granted}"))
    emulator.post("faults", kind="lost_response", rate=1, method=method)
    before = calls(emulator)
    answer = await described.describe(page_id, call_budget=granted, wall_read_budget=5)
    assert answer["items"] == []
    assert answer["error"]
    assert answer["calls"] == calls(emulator) - before == min(granted, 4), (
        "at most four attempts, within the limit of the request"
    )


async def test_groups_response_wrapped_in_an_object_is_read(described: DescribedPages, ok: Emulator) -> None:
    page_id = await described.page("ok", ok.page("ok_shape"))
    ok.post("settings", group_info_answer="groups")
    try:
        (said,) = (await described.describe(page_id))["items"]
    finally:
        ok.post("settings", group_info_answer="array")
    assert (said["state"], said["name"]) == ("open", "ok_shape")


@pytest.mark.parametrize(
    ("network", "change", "open_"),
    [
        ("vk", {"wall": 0}, False),
        ("vk", {"wall": 1}, True),
        ("vk", {"wall": 2}, True),
        ("vk", {"wall": 3}, False),
        ("ok", {"who_can_comment": "EVERYONE"}, True),
        ("ok", {"who_can_comment": "ADMINS"}, False),
        ("ok", {"who_can_comment": "NOBODY"}, False),
    ],
)
async def test_comments_open_follows_the_setting_of_the_network(
    *, network: str, change: dict[str, Any], open_: bool, described: DescribedPages, request: pytest.FixtureRequest
) -> None:
    emulator: Emulator = request.getfixturevalue(network)
    page = emulator.page(f"{network}_comments")
    emulator.post("page", page=page, **change)
    (said,) = (await described.describe(await described.page(network, page)))["items"]
    assert said["comments_open"] is open_


async def test_group_token_is_enough_to_describe_vk_page(
    vk: Emulator, database: TestDatabase, keys_dir: Path
) -> None:
    page = vk.page("vk_own_token")
    organisation = await insert_organisation(database)
    ids = [await insert_page(database, organisation, external_id=one) for one in (vk.page("vk_other"), page)]
    async with service_under_test(
        "ingest", database, keys_dir, process="api", **KEYS, vk_api_url=vk.url
    ) as ingest:
        token = next(one for one in vk.tokens() if str(one.get("page")) == page)
        body = {"kind": "group", "token": token["token"], "network": "vk", "page_id": str(ids[1])}
        made = await ingest.client.post("/api/v1/sources/tokens", json=body, headers=ingest.headers("moderator"))
        assert made.status_code in {200, 201}, made.text
        answer = await ingest.client.post(
            "/internal/pages/describe",
            json={"page_ids": [str(one) for one in ids], "wall_read_budget": 5},
            headers=ingest.service_headers("registry"),
        )
    found = answer.json()
    assert [item["state"] for item in found["items"]] == ["open", "open"]
    assert [item["posts_7_days"] for item in found["items"]] == [None, None], "a wall needs another kind of token"
    assert found["calls"] == 1


async def test_request_for_page_descriptions_by_a_person_is_refused(described: DescribedPages) -> None:
    answer = await described.ingest.client.post(
        "/internal/pages/describe",
        json={"page_ids": [str(UUID(int=1))]},
        headers=described.ingest.headers("moderator"),
    )
    assert answer.status_code in {401, 403}
