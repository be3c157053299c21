"""Appeals from a message to a published reply, through the gateway, for all kinds of message in both networks."""

import json
from uuid import uuid4

import pytest
from standardwebhooks.webhooks import Webhook as StandardWebhook
from svix.webhooks import Webhook as SvixWebhook

from tests.e2e.actors import Person, receiver
from tests.e2e.conftest import RunningDemo
from tests.support.eventually import eventually

KINDS = ("comment", "wall_post", "message")
CASES = [(network, kind) for network in ("vk", "ok") for kind in KINDS]


@pytest.mark.parametrize(("network_name", "kind"), CASES)
async def test_message_becomes_an_answered_appeal(demo: RunningDemo, network_name: str, kind: str) -> None:
    network, page = demo.network(network_name), demo.page(network_name)
    question = f"Когда включат отопление в спортзале школы? Дети мёрзнут. 8-924-000-12-34 {uuid4().hex[:8]}"
    masked = question.replace("8-924-000-12-34", "[телефон]")
    answer = f"Здравствуйте! Отопление включат сегодня до 18:00. {uuid4().hex[:8]}"
    async with receiver() as system:
        endpoint = await demo.centre.post(
            "/webhooks/endpoints", {"url": system.url, "event_types": ["appeal.opened", "appeal.answered"]}
        )
        since = {"from": "2026-01-01"}  # not only the current week, which may end during the test
        before = await demo.org.get("/metrics/sla", **since)
        wrote = await network.citizen(page["external_id"], kind, question)

        listed = await demo.centre.appeal_about(masked)
        assert listed["organisation"]["id"] == page["organisation_id"]
        assert listed["first_response_due_at"] is not None
        assert listed["first_response_at"] is None
        assert listed["channel"]["network"] == network_name
        assert listed["channel"]["url"].startswith("https://")

        appeal = await demo.org.appeal(listed["id"])
        assert [message["text"] for message in appeal["messages"]] == [question]

        reply = await demo.org.post(f"/appeals/{appeal['id']}/replies", {"text": answer, "kind": "final"})

        async def published() -> bool:
            shown = await demo.org.appeal(appeal["id"])
            return any(r["id"] == reply["id"] and r["status"] == "published" for r in shown["replies"])

        await eventually(published, "the reply is published")
        answers = await network.answers(page["external_id"], answer)
        assert [str(found["thread"]) for found in answers] == [str(wrote["thread"])]
        if kind == "comment":
            assert str(answers[0]["in_reply_to"]) == str(wrote["id"])

        async def stopped() -> dict[str, object] | None:
            shown = await demo.org.appeal(appeal["id"])
            return shown if shown["first_response_at"] else None

        answered = await eventually(stopped, "the first-response clock stops")
        assert answered["status"] == "answered"
        after = await demo.org.get("/metrics/sla", **since)
        assert after["total"]["opened"] == before["total"]["opened"] + 1
        assert after["total"]["answered"] == before["total"]["answered"] + 1

        for event_type in ("appeal.opened", "appeal.answered"):
            headers, body = await system.wait_for(event_type, appeal["id"])
            for verifier in (StandardWebhook(endpoint["secret"]), SvixWebhook(endpoint["secret"])):
                verifier.verify(body, headers)
            assert json.loads(body)["type"] == event_type
            assert b"8-924-000" not in body, "a citizen's phone number left the system"
        _, body = await system.wait_for("appeal.opened", appeal["id"])
        assert json.loads(body)["data"]["text"] == masked
        await demo.centre.ask("DELETE", f"/webhooks/endpoints/{endpoint['id']}")


@pytest.mark.parametrize(("network_name", "kind"), CASES)
async def test_reply_of_staff_in_the_network_stops_the_clock_once(
    demo: RunningDemo, network_name: str, kind: str
) -> None:
    network, page = demo.network(network_name), demo.page(network_name)
    question = f"Почему не чистят снег у крыльца поликлиники? {uuid4().hex[:8]}"
    by_hand = f"Здравствуйте, дворник уже вышел. {uuid4().hex[:8]}"
    wrote = await network.citizen(page["external_id"], kind, question)
    appeal = await demo.centre.appeal_about(question)
    target = {"in_reply_to": wrote["id"]} if kind == "comment" else {}
    await network.staff(page["external_id"], wrote["thread"], by_hand, **target)

    async def stopped() -> dict[str, object] | None:
        shown = await demo.org.appeal(appeal["id"])
        return shown if shown["first_response_at"] else None

    shown = await eventually(stopped, "the clock stops for a reply of staff in the network")
    assert [(r["origin"], r["status"], r["text"]) for r in shown["replies"]] == [("network", "published", by_hand)]  # type: ignore[attr-defined]
    publications = await demo.centre.get("/publications", organisation_id=page["organisation_id"])
    assert all(found["text"] != by_hand for found in publications["items"]), (
        "a reply of staff in the network must not be published again"
    )
    assert len(await network.answers(page["external_id"], by_hand)) == 1
    steps = [step for step in shown["timeline"] if step["kind"] == "answered"]  # type: ignore[attr-defined]
    assert len(steps) == 1


@pytest.mark.parametrize(
    ("network_name", "method"), [("vk", "wall.createComment"), ("ok", "discussions.addDiscussionComment")]
)
async def test_reply_read_back_before_its_call_returns_counts_once(
    demo: RunningDemo, network_name: str, method: str
) -> None:
    network, page = demo.network(network_name), demo.page(network_name)
    question = f"Будет ли автобус в Сосновый Бор в субботу? {uuid4().hex[:8]}"
    answer = f"Да, автобус пойдёт в 9:00 и в 16:30. {uuid4().hex[:8]}"
    await network.citizen(page["external_id"], "comment", question)
    appeal = await demo.centre.appeal_about(question)
    await network.fault(kind="slow", next=1, method=method, seconds=4)
    try:
        await demo.org.post(f"/appeals/{appeal['id']}/replies", {"text": answer, "kind": "final"})

        async def answered() -> dict[str, object] | None:
            shown = await demo.org.appeal(appeal["id"])
            return shown if shown["status"] == "answered" else None

        shown = await eventually(answered, "the answer is seen")
    finally:
        await network.clear_faults()
    assert [(r["origin"], r["status"]) for r in shown["replies"]] == [("gospablik", "published")]  # type: ignore[attr-defined]
    assert len(await network.answers(page["external_id"], answer)) == 1


async def test_staff_see_only_their_own_organisation(demo: RunningDemo) -> None:
    mine, foreign = demo.page("vk"), demo.other_organisations_page("vk")
    question = f"Когда откроют каток? {uuid4().hex[:8]}"
    await demo.vk.citizen(foreign["external_id"], "comment", question)
    appeal = await demo.centre.appeal_about(question)
    assert appeal["organisation"]["id"] == foreign["organisation_id"] != mine["organisation_id"]
    assert (await demo.org.ask("GET", f"/appeals/{appeal['id']}")).status_code == 404
    listed = await demo.org.list_all("/appeals")
    assert {item["organisation"]["id"] for item in listed} <= {mine["organisation_id"]}
    seen = await demo.org.get("/me")
    assert seen["organisation"]["id"] == mine["organisation_id"]


async def test_thanks_open_no_appeal(demo: RunningDemo) -> None:
    page = demo.page("vk")
    words = f"Спасибо большое воспитателям, вы лучшие! {uuid4().hex[:8]}"
    await demo.vk.citizen(page["external_id"], "comment", words)

    async def stored() -> bool:
        messages = await demo.centre.get("/messages", page_id=page["id"], limit=50)
        return any(message["text"] == words for message in messages["items"])

    await eventually(stored, "the thanks are stored")
    marker = f"Где записать ребёнка в кружок? {uuid4().hex[:8]}"
    await demo.vk.citizen(page["external_id"], "comment", marker)
    # Written after the thanks: once it has an appeal, the thanks are classified too.
    await demo.centre.appeal_about(marker)
    listed = await demo.centre.get("/appeals", limit=100)
    assert all(item["text"] != words for item in listed["items"])


async def test_demo_people_have_the_documented_roles(demo: RunningDemo) -> None:
    for username, role in (("centre", "moderator"), ("head", "head"), ("ops", "operations"), ("org", "executor")):
        person = await Person.sign_in(demo.centre.http, username)
        me = await person.get("/me")
        assert me["person"]["role"] == role
        assert me["rights"]
