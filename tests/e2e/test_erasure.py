"""After the erasure of a citizen, a byte search of database and logs finds neither their texts nor their ids."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from tests.e2e.actors import receiver
from tests.e2e.conftest import RunningDemo
from tests.support.eventually import eventually
from tests.support.forked_program import run_program

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

# In lower case, without endings: the search index stores base forms.
STEMS = ("фырбаджик", "шмундул", "щурогрив", "кракозябл", "пупырча")
TEXTS = {
    "comment": "Когда починят дорогу на улице Щурогривской, 17? Фырбаджик шмундуляет",
    "wall_post": "Во дворе третий день нет света, кракозяблы фырбаджика мёрзнут",
    "message": "Почему в больнице нет врача? Пупырчатый фырбаджик ждёт",
}
# All processes but the emulated networks, which are not part of the system.
LOGS = ("registry", "ingest", "appeals", "metrics", "webhooks", "gateway-service", "traefik", "postgres")


@dataclass
class Citizen:
    """One citizen of a network, with the ids of their threads, appeals and author key in the system."""

    network: str
    native_id: int
    threads: list[str] = field(default_factory=list)
    appeals: list[str] = field(default_factory=list)
    author_key: str = ""

    @property
    def sought(self) -> list[str]:
        """Return the texts that must not be found after the erasure."""
        return [str(self.native_id), self.author_key, *self.threads, *STEMS]


async def _write_and_be_answered(demo: RunningDemo, citizen: Citizen, *, role_word: str) -> None:
    network, page = demo.network(citizen.network), demo.page(citizen.network)
    for kind, text in TEXTS.items():
        question = f"{text} {role_word}"
        wrote = await network.citizen(
            page["external_id"], kind, question, author=citizen.native_id, attachments=_photo(citizen)
        )
        if kind == "message":
            citizen.threads.append(str(wrote["thread"]))
        listed = await demo.centre.appeal_about(question)
        citizen.appeals.append(listed["id"])
        appeal = await demo.centre.appeal(listed["id"])
        message_id = appeal["messages"][0]["id"]
        citizen.author_key = (await demo.centre.get(f"/messages/{message_id}"))["author_key"]
        answer = f"Здравствуйте! Про фырбаджика ответим: {kind} {uuid4().hex[:6]}"
        key = {"Idempotency-Key": str(uuid4())}
        reply = await demo.org.post(f"/appeals/{listed['id']}/replies", {"text": answer, "kind": "final"}, **key)
        await _published(demo, listed["id"], reply["id"])
        note = {"text": f"Пишет «{text}», {citizen.native_id}", "visibility": "everyone_on_appeal"}
        await demo.org.post(f"/appeals/{listed['id']}/notes", note)
        if kind == "wall_post":
            await network.staff(page["external_id"], wrote["thread"], f"Фырбаджик, всё сделаем {role_word}")
            await _stored(demo, f"Фырбаджик, всё сделаем {role_word}")
        if kind == "comment":
            await network.staff(
                page["external_id"], wrote["thread"], "Фырбаджик, уже едем", in_reply_to=wrote["id"]
            )
            # The network names the answered person in the payload of this comment.
            support = f"Поддерживаю соседа {uuid4().hex[:6]}"
            await network.citizen(
                page["external_id"], "comment", support, thread=wrote["thread"], in_reply_to=wrote["id"]
            )
            await _stored(demo, support)
            # Only in VK: edits in OK are noticed hours later, when the discussion is read again.
            if citizen.network == "vk":
                await _edit(demo, page["external_id"], wrote, message_id, f"{text} уточнение {role_word}")


def _link(citizen: Citizen) -> str:
    """Return a link to the citizen as texts in the network have it."""
    if citizen.network == "vk":
        return f"[id{citizen.native_id}|Щурогривов Пупырча]"
    return f"https://ok.ru/profile/{citizen.native_id}"


async def _named_and_forwarded(demo: RunningDemo, citizen: Citizen) -> list[str]:
    """Let others name the citizen where the citizen never wrote, and forward the citizen's words.

    Return the words of others, which must stay.
    """
    network, page = demo.network(citizen.network), demo.page(citizen.network)["external_id"]
    kept = [f"когда починят ямы у дома {uuid4().hex[:6]}?" for _ in range(3)]
    linked = f"{_link(citizen)}, {kept[0]}"
    await network.citizen(page, "wall_post", linked)
    await _stored(demo, linked)
    await _opened(demo, kept[0])
    if citizen.network != "vk":
        return kept[:1]
    words = TEXTS["message"]
    shared = [{"text": words, "author": citizen.native_id, "attachments": _photo(citizen)}]
    await demo.vk._post("share", page=page, kind="message", text=kept[1], forwarded=shared)
    await _stored(demo, f"{kept[1]}\n\nПереслано:\n{words}")
    await demo.vk._post("share", page=page, kind="wall_post", text=kept[2], reposted=shared)
    await _stored(demo, f"{kept[2]}\n\nРепост записи:\n{words}")
    for text in kept[1:]:
        await _opened(demo, text)
    return kept


async def _opened(demo: RunningDemo, words: str) -> None:
    async def opened() -> bool:
        listed = await demo.centre.get("/appeals", q=words.rsplit(maxsplit=1)[-1].rstrip("?"), limit=5)
        return any(words in one["text"] for one in listed["items"])

    await eventually(opened, f"an appeal with «{words}» is opened")


def _photo(citizen: Citizen) -> list[dict[str, Any]]:
    if citizen.network != "vk":
        return []
    return [{"type": "photo", "photo": {"id": 1, "owner_id": citizen.native_id, "sizes": []}}]


async def _published(demo: RunningDemo, appeal_id: str, reply_id: str) -> None:
    async def published() -> bool:
        shown = await demo.org.appeal(appeal_id)
        return any(one["id"] == reply_id and one["status"] == "published" for one in shown["replies"])

    await eventually(published, "the reply is published")


async def _stored(demo: RunningDemo, text: str) -> None:
    async def stored() -> bool:
        return any(one["text"] == text for one in (await demo.centre.get("/messages", limit=50))["items"])

    await eventually(stored, "the message is stored")


async def _edit(demo: RunningDemo, page: str, wrote: dict[str, Any], message_id: str, text: str) -> None:
    await demo.vk._post("edit", page=page, id=wrote["id"], text=text)

    async def stored() -> bool:
        return bool((await demo.centre.get(f"/messages/{message_id}"))["text"] == text)

    await eventually(stored, "the edit is stored")


async def _run(demo: RunningDemo, *arguments: str) -> str:
    """Run a `gospablik` command on this system; return its output."""
    database = {"GOSPABLIK_DATABASE_URL": demo.system.service_database_url("metrics")}
    process = await run_program("cli.main", *arguments, env={**os.environ, **database})
    assert process.returncode == 0, process.stderr
    return process.stdout


async def _figures(demo: RunningDemo) -> dict[str, Any]:
    figures = await demo.centre.get("/metrics/sla", **{"from": "2026-01-01", "to": "2099-01-01"})
    return {name: value for name, value in figures.items() if name != "computed_at"}


async def _dump(demo: RunningDemo) -> dict[str, str]:
    """Return the rows of each table of all schemas as text, in lower case."""
    connection = await asyncpg.connect(demo.system.owner_url)
    try:
        tables = await connection.fetch(
            "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables"
            " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        )
        return {
            row["name"]: "\n".join(
                one[0] for one in await connection.fetch(f"SELECT t::text FROM {row['name']} t")
            ).lower()
            for row in tables
        }
    finally:
        await connection.close()


def _found(places: dict[str, str], sought: list[str]) -> list[tuple[str, str]]:
    """Return (table or log, text) for each sought text that a table or log contains, also in JSON-escaped form."""
    forms = {one: {one, json.dumps(one)[1:-1], json.dumps(json.dumps(one)[1:-1])[1:-1]} for one in sought}
    return [
        (place, one)
        for place, content in places.items()
        for one in sought
        if any(f in content for f in forms[one])
    ]


async def test_erased_citizen_is_found_neither_in_the_database_nor_in_logs(
    demo: RunningDemo, tmp_path: Path
) -> None:
    citizens = [Citizen("vk", 777_123_459), Citizen("ok", 577_712_345_678)]
    gateway = ["--url", demo.system.gateway]
    async with receiver() as system:
        endpoint = await demo.centre.post(
            "/webhooks/endpoints",
            {"url": system.url, "event_types": ["appeal.opened", "appeal.answered", "author.erased"]},
        )
        for citizen in citizens:
            await _write_and_be_answered(demo, citizen, role_word=f"Пупырчатый{citizen.network}")
            for appeal_id in citizen.appeals:
                await system.wait_for("appeal.opened", appeal_id)
                await system.wait_for("appeal.answered", appeal_id)
        kept = [text for citizen in citizens for text in await _named_and_forwarded(demo, citizen)]
        exported = await demo.centre.ask("GET", "/appeals.csv")
        assert "фырбаджик" in exported.text.lower()
        for citizen in citizens:
            assert _found(await _dump(demo), citizen.sought)
        figures = await _figures(demo)
        appeals = {one: await demo.centre.appeal(one) for citizen in citizens for one in citizen.appeals}

        for citizen in citizens:
            number = str(appeals[citizen.appeals[0]]["number"])
            record = json.loads(
                await _run(
                    demo, "erase", "--appeal", number, "--reference", "вх. 17/2026", *gateway, "--password", "demo"
                )
            )
            assert record["status"] == "done"
            assert record["counts"]["appeals"]["appeals"] == len(TEXTS)
            for appeal_id in citizen.appeals:
                await system.wait_for("author.erased", appeal_id)
        await demo.centre.ask("DELETE", f"/webhooks/endpoints/{endpoint['id']}")

    sought = sorted({one for citizen in citizens for one in citizen.sought})
    assert _found(await _dump(demo), sought) == []
    for citizen in citizens:
        others = f"{_link(citizen)}, вы правы {uuid4().hex[:6]}"
        await demo.network(citizen.network).citizen(demo.page(citizen.network)["external_id"], "comment", others)
        await _stored(demo, others.replace(_link(citizen), "[данные удалены]"))
    # Forwarded only now, and written before the erasure.
    forwarded = [{"text": TEXTS["message"], "author": citizens[0].native_id, "age": 3_600}]
    late = f"Смотрите {uuid4().hex[:6]}"
    await demo.vk._post(
        "share", page=demo.page("vk")["external_id"], kind="message", text=late, forwarded=forwarded
    )
    await _stored(demo, f"{late}\n\nПереслано:\nданные удалены")
    assert _found(await _dump(demo), sought) == []
    # The networks still have the messages; reading them again must not restore anything.
    started = await demo.centre.post("/sources/reconciliations", {"since": "2026-01-01T00:00:00+08:00"})

    async def reconciled() -> bool:
        summary = await demo.centre.get("/sources/reconciliations/summary", started_from=started["started_at"])
        return bool(summary["finished"] == summary["requested"])

    await eventually(reconciled, "the pages are compared with the networks")
    assert _found(await _dump(demo), sought) == []
    assert _found({part: demo.system.log(part).lower() for part in LOGS}, sought) == []

    assert await _figures(demo) == figures
    for appeal_id, before in appeals.items():
        after = await demo.centre.appeal(appeal_id)
        same = ("number", "status", "topic", "urgency", "written_at", "opened_at", "first_response_at", "deadline")
        assert {name: after[name] for name in same} == {name: before[name] for name in same}
        assert after["erased_at"] is not None
        assert {message["text"] for message in after["messages"]} == {""}
    stored = "\n".join((await _dump(demo)).values())
    assert [text for text in kept if text.lower() not in stored] == []
    assert (await demo.centre.get("/appeals", q="фырбаджик"))["items"] == []
    assert "данные удалены" in (await demo.centre.ask("GET", "/appeals.csv")).text
    feed = await demo.centre.ask("GET", "/events", params={"limit": 200})
    assert _found({"feed": feed.text.lower()}, sought) == []
    listed = (await _run(demo, "erasures", *gateway, "--password", "demo")).splitlines()
    assert len(listed) == len(citizens)
    # The database already has these records, so nothing is erased again.
    records = tmp_path / "erasures.jsonl"
    records.write_text("\n".join(listed), encoding="utf-8")
    repeated = (await _run(demo, "erase", "--repeat", str(records), *gateway, "--password", "demo")).splitlines()
    assert sorted(repeated) == sorted(listed)
    assert "intact" in await _run(demo, "audit", "verify")
