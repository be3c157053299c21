"""Photos of replies: who may attach them, how many a network allows, and their place in publication requests."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from services.appeals.publication.publication_requests import _request_body
from services.appeals.replies.reply_attachments import attachments_of
from shared.tables.appeals_replies import Reply
from tests.integration.appeals.conftest import AppealsScenario
from tests.integration.appeals.reply_helpers import (
    appeal,
    draft,
    publication_jobs,
    replies_of,
    request,
    require_approval,
    send,
)
from tests.integration.appeals.test_appeal_matching import QUESTION
from tests.support.sample_images import jpeg

COLLEAGUE = str(UUID(int=5))


@pytest.fixture
async def photo(scenario: AppealsScenario) -> str:
    """The id of a photo that the appeal's organisation has uploaded."""
    return await upload(scenario)


pytestmark = pytest.mark.usefixtures("images_in_process")


async def upload(scenario: AppealsScenario, *, role: str = "executor", org: UUID | None = None) -> str:
    organisation = None if role == "moderator" else org or scenario.organisation
    answer = await scenario.appeals.client.post(
        "/api/v1/attachments",
        files={"file": ("двор.jpg", jpeg())},
        headers=scenario.appeals.headers(role, organisation),
    )
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def wrong_field(answer: httpx.Response) -> tuple[str, str]:
    assert answer.status_code == 422, answer.text
    (error,) = answer.json()["errors"]
    return error["pointer"], error["detail"]


async def reply_with(
    scenario: AppealsScenario, found: dict[str, Any], *photos: str, **body: Any
) -> httpx.Response:
    given = {"text": "Яму засыпали.", "attachments": list(photos), **body}
    return await request(scenario, "POST", f"/appeals/{found['id']}/replies", given)


async def save(
    scenario: AppealsScenario, found: dict[str, Any], reply: dict[str, Any], **body: Any
) -> httpx.Response:
    return await request(
        scenario,
        "PUT",
        f"/appeals/{found['id']}/replies/{reply['id']}",
        {"text": "Яму засыпали.", **body},
        If_Match=f'"{reply["version"]}"',
    )


async def test_draft_keeps_its_photos_until_a_save_changes_them(scenario: AppealsScenario, photo: str) -> None:
    found = await appeal(scenario)
    begun = await draft(scenario, found, attachments=[photo])
    assert [shown["id"] for shown in begun["attachments"]] == [photo]
    assert begun["attachments"][0]["name"] == "двор.jpg"
    saved = (await save(scenario, found, begun)).json()
    assert [shown["id"] for shown in saved["attachments"]] == [photo]
    second = await upload(scenario)
    changed = (await save(scenario, found, saved, attachments=[second, photo])).json()
    assert [shown["id"] for shown in changed["attachments"]] == [second, photo]
    assert changed["version"] == saved["version"] + 1
    without = (await save(scenario, found, changed, attachments=[])).json()
    assert without["attachments"] == []
    again = await save(scenario, found, without, attachments=[photo])
    assert again.status_code == 200, "a photo of the draft can be attached to it again"
    (shown,) = await replies_of(scenario, found)
    assert [one["id"] for one in shown["attachments"]] == [photo]


async def test_submitted_photos_are_shown_in_the_version_and_to_the_approver(
    scenario: AppealsScenario, photo: str
) -> None:
    await require_approval(scenario)
    found = await appeal(scenario)
    begun = await draft(scenario, found, attachments=[photo])
    path = f"/appeals/{found['id']}/replies/{begun['id']}"
    submitted = await request(scenario, "POST", f"{path}/submit", If_Match='"1"')
    assert submitted.json()["status"] == "on_approval"
    versions = await request(scenario, "GET", f"{path}/versions")
    assert versions.json()["items"][0]["attachment_ids"] == [photo]
    waiting = await request(scenario, "GET", "/reply-approvals", role="moderator")
    (item,) = waiting.json()["items"]
    assert [shown["id"] for shown in item["reply"]["attachments"]] == [photo]
    approved = await send(scenario, f"{path}/approve", subject=COLLEAGUE, If_Match='"2"')
    assert approved.status_code == 200, approved.text
    assert [shown["id"] for shown in approved.json()["attachments"]] == [photo]
    assert len(await publication_jobs(scenario)) == 1


async def test_publication_request_lists_the_photos(scenario: AppealsScenario, photo: str) -> None:
    found = await appeal(scenario)
    made = (await reply_with(scenario, found, photo)).json()
    async with scenario.appeals.service.database.read() as session:
        reply = await session.get_one(Reply, UUID(made["id"]))
        attached = await attachments_of(session, [reply])
    _, body, _ = _request_body(reply, scenario.organisation, list(attached.values()), again=False)
    assert body["attachments"] == [{"id": photo, "name": "двор.jpg", "content_type": "image/jpeg"}]
    assert "attachments" not in _request_body(reply, scenario.organisation, [], again=False)[1]


async def test_photo_of_another_organisation_cannot_be_attached(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    foreign = await upload(scenario, org=scenario.other_organisation)
    of_centre = await upload(scenario, role="moderator")
    for photo in (foreign, of_centre, str(uuid4())):
        for status in ({}, {"status": "draft"}):
            answer = await reply_with(scenario, found, photo, **status)
            assert wrong_field(answer) == ("/attachments/0", "No such attachment")
    assert await replies_of(scenario, found) == []


async def test_photo_of_another_reply_cannot_be_attached(scenario: AppealsScenario, photo: str) -> None:
    found = await appeal(scenario)
    await draft(scenario, found, attachments=[photo])
    other = await appeal(scenario, author="boris", thread="vk:-101_2")
    pointer, detail = wrong_field(await reply_with(scenario, other, photo))
    assert (pointer, detail) == (
        "/attachments/0",
        "The attachment belongs to another reply: upload the photo again",
    )
    own = await upload(scenario)
    assert wrong_field(await reply_with(scenario, other, own, own))[0] == "/attachments/1"


async def test_photo_of_a_refused_reply_can_be_attached_again(scenario: AppealsScenario, photo: str) -> None:
    found = await appeal(scenario)
    refused = await reply_with(scenario, found, photo, text="Звоните 8-924-000-12-34")
    assert refused.status_code == 422
    assert (await reply_with(scenario, found, photo)).status_code == 201


@pytest.mark.parametrize("status", [{}, {"status": "draft"}], ids=["reply", "draft"])
async def test_more_photos_than_vk_allows_in_a_comment_are_refused(
    scenario: AppealsScenario, status: dict[str, str]
) -> None:
    found = await appeal(scenario)
    photos = [await upload(scenario) for _ in range(3)]
    pointer, detail = wrong_field(await reply_with(scenario, found, *photos, **status))
    assert (pointer, detail) == ("/attachments", "«ВКонтакте» takes at most 2 in comments; the reply has 3")
    assert (await reply_with(scenario, found, *photos[:2], **status)).status_code == 201


@pytest.mark.parametrize(
    ("kind", "thread", "refusal"),
    [
        ("comment", "ok:GROUP_TOPIC:1", None),
        (
            "message",
            "ok:chat:C1",
            "«Одноклассники» takes no photos in a conversation: send the reply without them",
        ),
    ],
)
async def test_draft_with_a_photo_is_refused_where_the_network_allows_none(
    scenario: AppealsScenario, kind: str, thread: str, refusal: str | None
) -> None:
    page = next(page for page, (_, network) in scenario.pages.items() if network == "ok")
    organisation = scenario.other_organisation
    await scenario.citizen_writes(QUESTION, page=page, kind=kind, thread=thread)
    (found,) = await scenario.all()
    given = {
        "text": "Яму засыпали.", "status": "draft", "attachments": [await upload(scenario, org=organisation)],
    }  # fmt: skip
    answer = await request(scenario, "POST", f"/appeals/{found['id']}/replies", given, org=organisation)
    if refusal is None:
        assert answer.status_code == 201, answer.text
    else:
        assert wrong_field(answer) == ("/attachments", refusal)


async def test_only_one_of_concurrent_replies_gets_the_photo(scenario: AppealsScenario, photo: str) -> None:
    appeals = [await appeal(scenario, author=f"a{n}", thread=f"vk:-101_{n}") for n in range(4)]
    answers = await asyncio.gather(*(reply_with(scenario, found, photo) for found in appeals))
    assert sorted(answer.status_code for answer in answers) == [201, 422, 422, 422]


async def test_colleague_saves_the_draft_with_its_photos(scenario: AppealsScenario, photo: str) -> None:
    found = await appeal(scenario)
    begun = await draft(scenario, found, attachments=[photo])
    path = f"/appeals/{found['id']}/replies/{begun['id']}"
    taken = await request(
        scenario,
        "PUT",
        f"/appeals/{found['id']}/reply-lease",
        {"take_over": True},
        role="moderator",
        subject=COLLEAGUE,
    )
    assert taken.status_code == 200, taken.text
    saved = await request(
        scenario,
        "PUT",
        path,
        {"text": "Яму засыпали вчера.", "attachments": [photo]},
        role="moderator",
        subject=COLLEAGUE,
        If_Match='"1"',
    )
    assert saved.status_code == 200, "the centre did not upload it, but it belongs to this draft"
