"""One run: people write and delete, answers are asked for, everything fails, and in the end all is counted."""

import asyncio
import csv
import io
import random
import signal
import time
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import httpx

from bench.faults.fault_plan import MIX, RATE, Blow, Plan, drawn
from bench.faults.processes import Page, Stage, Token, as_json

# How a comment begins that will be deleted.
HASTY = "Сгоряча:"
PUBLISH = "/internal/publications"


@dataclass(frozen=True)
class Size:
    """How much is written and asked for in both networks together, on how many pages of each, in which turns."""

    messages: int
    answers: int
    deletions: int
    pages: int
    turns: int
    kills: int
    pause: float
    patience: float


@dataclass(frozen=True)
class Answer:
    """An answer that was asked for."""

    network: str
    page: str
    text: str
    publication: str


@dataclass(frozen=True)
class Hasty:
    """A comment that goes again: by its author or by the community, at a moment of the run in seconds."""

    network: str
    page: str
    number: str
    text: str
    by: str
    due: float


@dataclass
class Outcome:
    """What a run ends with. `deleted_unread`: what had gone before any of our ways saw it, and is not stored."""

    written: int = 0
    deleted: int = 0
    deletions_seen: int = 0
    deleted_unread: int = 0
    deletions_missed: int = 0
    stored_once: int = 0
    missing: int = 0
    doubled: int = 0
    asked: int = 0
    published_once: int = 0
    unpublished: int = 0
    published_twice: int = 0
    gaps: int = 0
    late_gaps: int = 0
    calls_of_dead_tokens: dict[str, int] = field(default_factory=dict)
    faulted_calls: int = 0
    seconds: float = 0.0

    @property
    def kept(self) -> int:
        """Promises kept."""
        return self.stored_once + self.published_once + self.deletions_seen

    @property
    def promised(self) -> int:
        """Promises made."""
        return self.written + self.asked + self.deleted


class Run:
    """A run on a stage."""

    def __init__(self, stage: Stage, seed: int, size: Size) -> None:
        self._stage = stage
        self._size = size
        self._seed = seed
        self._chance = random.Random(f"run {seed}")
        self._plan: Plan = drawn(seed, size.kills)
        self._texts: dict[str, list[str]] = {"vk": [], "ok": []}
        self._answers: list[Answer] = []
        self._answered: set[UUID] = set()
        self._hasty: list[Hasty] = []
        self._deleted: list[Hasty] = []
        self._struck: list[tuple[Blow, Token, Page | None]] = []

    async def play(self) -> Outcome:
        """Play all turns, wait until everything is settled, reconcile, count."""
        began = time.monotonic()
        for network, mix in MIX.items():
            await self._stage.control(network, "faults", {"mix": mix, "rate": RATE, "seed": self._seed})
        self._say(f"clocks are off by {as_json({who: round(one) for who, one in self._plan.shifts.items()})} s")
        kills, blows = list(self._plan.kills), list(self._plan.blows)
        restarted = False
        for turn in range(self._size.turns):
            share = turn / self._size.turns
            await asyncio.gather(*(self._write(network, turn) for network in self._texts))
            await self._write_hastily(turn)
            while blows and blows[0].at <= share:
                await self._strike(blows.pop(0))
            await self._mend(share)
            await asyncio.sleep(self._chance.uniform(0.3, 1.0) * self._size.pause)
            await self._delete(time.monotonic())
            await asyncio.gather(*(self._answer(network, turn) for network in self._texts))
            if kills and kills[0][0] <= share:
                _, name = kills.pop(0)
                self._say(f"kill -9 of the {name} at {share:.2f}")
                await asyncio.sleep(self._chance.uniform(0, 1.5))
                self._stage.ours[name].restart(signal.SIGKILL)
                await self._delete(time.monotonic())
            if not restarted and self._plan.restart <= share:
                restarted = True
                self._say("restart of Postgres")
                await asyncio.to_thread(self._stage.database.restart, signal.SIGINT)
        while blows:
            await self._strike(blows.pop(0))
        await self._mend(1.0)
        await self._delete(float("inf"))
        await self._settled()
        outcome = await self._counted()
        outcome.seconds = time.monotonic() - began
        return outcome

    @staticmethod
    def _say(what: str) -> None:
        print(f"  {what}", flush=True)

    async def _write(self, network: str, turn: int) -> None:
        """Citizens write this turn's share of the messages."""
        half = self._size.messages // len(self._texts)
        count = half * (turn + 1) // self._size.turns - half * turn // self._size.turns
        texts = [
            f"Когда починят дорогу на улице Лесной? Заявка {network} {turn} {n} {uuid4()}" for n in range(count)
        ]
        file = io.StringIO(newline="")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["text"])
        writer.writerows([text] for text in texts)
        answer = await self._stage.doors[network].post("/_control/feed", content=file.getvalue().encode())
        answer.raise_for_status()
        if answer.json()["accepted"] != count:
            raise RuntimeError(f"{network} refused texts: {answer.text[:500]}")
        self._texts[network] += texts

    async def _write_hastily(self, turn: int) -> None:
        """Citizens write this turn's share of what will be deleted, some of it at once."""
        whole = self._size.deletions
        for number in range(whole * turn // self._size.turns, whole * (turn + 1) // self._size.turns):
            network = ("vk", "ok")[number % 2]
            page = self._chance.choice([one for one in self._stage.pages if one.network == network])
            text = f"{HASTY} {network} {turn} {number} {uuid4()}"
            wanted = {"page": page.native, "kind": "comment", "text": text}
            written = await self._stage.control(network, "citizen", wanted)
            due = time.monotonic() + self._chance.choice((0.0, self._chance.expovariate(0.5 / self._size.pause)))
            by = self._chance.choice(("author", "community"))
            self._hasty.append(Hasty(network, page.native, str(written["id"]), text, by, due))

    async def _delete(self, until: float) -> None:
        """Delete what is due by then."""
        for one in [one for one in self._hasty if one.due <= until]:
            self._hasty.remove(one)
            wanted = {"page": one.page, "id": one.number, "by": one.by, "kind": "comment"}
            await self._stage.control(one.network, "delete", wanted)
            self._deleted.append(one)

    async def _answer(self, network: str, turn: int) -> None:
        """Ask for this turn's share of the answers, to citizens whose words are stored."""
        half = self._size.answers // len(self._texts)
        wanted = half * (turn + 1) // self._size.turns - half * turn // self._size.turns
        while wanted > 0:
            rows = await self._stage.fetch(
                "SELECT m.id, p.external_id FROM messages m JOIN pages p ON p.id = m.page_id WHERE m.network = $1"
                " AND NOT m.from_community AND NOT m.id = ANY($2::uuid[]) AND NOT starts_with(m.text, $3)"
                " ORDER BY m.received_at DESC LIMIT 400",
                network,
                list(self._answered),
                HASTY,
            )
            if not rows:
                await asyncio.sleep(1)
                continue
            for row in self._chance.sample(rows, min(wanted, len(rows))):
                message, text = UUID(str(row["id"])), f"Ответ: бригада выйдет завтра, наряд {uuid4()}"
                asked = await self._request(message, text)
                self._answered.add(message)
                self._answers.append(Answer(network, str(row["external_id"]), text, asked["id"]))
                wanted -= 1

    async def _request(self, message: UUID, text: str) -> dict[str, Any]:
        wanted = {"reply_id": str(uuid4()), "message_id": str(message), "text": text, "on_behalf_of": "bench"}
        for _ in range(120):
            try:
                answer = await self._stage.api.post(PUBLISH, json=wanted, headers=self._stage.as_appeals(PUBLISH))
            except httpx.TransportError:
                await asyncio.sleep(0.5)
                continue
            if answer.status_code < 500:
                answer.raise_for_status()
                asked: dict[str, Any] = answer.json()
                return asked
            await asyncio.sleep(0.5)
        raise RuntimeError("ingest's API did not come back")

    async def _strike(self, blow: Blow) -> None:
        """Lay a standing error over the token that the plan names."""
        living = [
            token
            for token in self._stage.tokens
            if token.network == blow.network
            and token.given["kind"] == blow.kind
            and all(token is not struck for _, struck, _ in self._struck)
        ]
        token = living[blow.number % len(living)]
        page = next((one for one in self._stage.pages if one.native == str(token.given.get("page"))), None)
        fault: dict[str, Any] = {
            "kind": "standing",
            "code": blow.code,
            "token": token.secret,
            "until": blow.until,
        }
        if blow.methods:
            fault["methods"] = list(blow.methods)
        await self._stage.control(blow.network, "faults", fault)
        self._struck.append((blow, token, page))
        self._say(f"{blow.network} error {blow.code} over a {blow.kind} token until it is {blow.until}")

    async def _mend(self, share: float) -> None:
        """Mend what the plan mends by now: a new token, a solved captcha, the end of the network's day."""
        for struck in [one for one in self._struck if one[0].mended <= share]:
            self._struck.remove(struck)
            blow, token, page = struck
            if blow.until == "replaced":
                await self._stage.issue(blow.network, blow.kind, page)
            elif blow.until == "day_end":
                await self._stage.control(blow.network, "day", {})
            else:
                solution = await self._stage.control(blow.network, "solve", {"token": token.secret})
                known = next(
                    one
                    for one in (await self._stage.call("GET", "/sources/tokens"))["items"]
                    if one["id"] == token.id
                )
                # A token that only rests for a while, or was found well again, asks for no solution.
                if known["state"] == "captcha":
                    given = {key: solution[key] for key in ("success_token",) if solution.get(key)}
                    await self._stage.call("POST", f"/sources/tokens/{token.id}/recover", json=given)
            self._say(f"{blow.network} error {blow.code}: {blow.until}")

    async def _settled(self) -> None:
        """Wait until all texts are stored and every answer has an end and was read; the faults go on meanwhile."""
        deadline = time.monotonic() + self._size.patience
        said = 0.0
        while True:
            stored = (
                await self._stage.fetch(
                    "SELECT count(DISTINCT text) AS n FROM messages"
                    " WHERE NOT from_community AND NOT starts_with(text, $1)",
                    HASTY,
                )
            )[0]["n"]
            states = {
                row["status"]: row["n"]
                for row in await self._stage.fetch(
                    "SELECT status, count(*) AS n FROM publications GROUP BY status"
                )
            }
            written = sum(len(texts) for texts in self._texts.values())
            unseen = (
                await self._stage.fetch(
                    "SELECT count(*) AS n FROM publications p WHERE p.status = 'published'"
                    " AND NOT EXISTS (SELECT FROM messages m WHERE m.publication_id = p.id)"
                )
            )[0]["n"]
            if stored >= written and not unseen and not states.keys() & {"queued", "sending", "uncertain"}:
                return
            if time.monotonic() > deadline:
                self._say(f"patience is over: {stored} of {written} stored, publications {as_json(states)}")
                return
            if time.monotonic() - said > 20:
                said = time.monotonic()
                self._say(f"{stored} of {written} stored, publications {as_json(states)}")
            await asyncio.sleep(1)

    async def _reconciled(self) -> int:
        """Compare every page with its network once more; answers the gaps that were found."""
        before = [row["id"] for row in await self._stage.fetch("SELECT id FROM reconciliations")]
        for network in self._texts:
            await self._stage.call("POST", "/sources/reconciliations", json={"network": network})
        wanted = len(self._stage.pages)
        deadline = time.monotonic() + self._size.patience
        while time.monotonic() < deadline:
            rows = await self._stage.fetch(
                "SELECT DISTINCT ON (page_id) page_id, gaps + late AS gaps, finished_at FROM reconciliations"
                " WHERE NOT id = ANY($1::uuid[]) ORDER BY page_id, started_at DESC",
                before,
            )
            if len(rows) == wanted and all(row["finished_at"] for row in rows):
                return int(sum(row["gaps"] for row in rows))
            await asyncio.sleep(1)
        raise RuntimeError("reconciliation did not come to an end")

    async def _all_noticed(self) -> None:
        """Compare again until no deleted comment stands here: what is young by the clocks is believed later."""
        deadline = time.monotonic() + self._size.patience
        while time.monotonic() < deadline:
            left = (
                await self._stage.fetch(
                    "SELECT count(*) AS n FROM messages WHERE starts_with(text, $1) AND deleted_at IS NULL", HASTY
                )
            )[0]["n"]
            if not left:
                return
            self._say(f"{left} deletions are not noticed yet")
            await asyncio.sleep(20)
            await self._reconciled()

    async def _counted(self) -> Outcome:
        outcome = Outcome()
        for network in self._texts:
            shown = await self._stage.control(network, "faults")
            for item in shown["standing"]:
                outcome.calls_of_dead_tokens[f"{network} {item['code']}"] = item["calls"]
            calls = await self._stage.control(network, "calls")
            outcome.faulted_calls += sum(one["calls"] for one in calls.get("by_token", {}).values())
            (await self._stage.doors[network].delete("/_control/faults")).raise_for_status()
        outcome.gaps = await self._reconciled()
        await self._all_noticed()
        rows = await self._stage.fetch(
            "SELECT text, count(*) AS n FROM messages WHERE NOT from_community GROUP BY text"
        )
        stored = {row["text"]: row["n"] for row in rows}
        written = [text for texts in self._texts.values() for text in texts]
        outcome.written = len(written)
        outcome.stored_once = sum(stored.get(text) == 1 for text in written)
        outcome.missing = sum(text not in stored for text in written)
        outcome.doubled = sum(stored.get(text, 0) > 1 for text in written)
        states = {
            row["text"]: row["gone"]
            for row in await self._stage.fetch(
                "SELECT text, bool_and(deleted_at IS NOT NULL) AS gone FROM messages"
                " WHERE starts_with(text, $1) GROUP BY text",
                HASTY,
            )
        }
        outcome.deleted = len(self._deleted)
        outcome.deleted_unread = sum(one.text not in states for one in self._deleted)
        outcome.deletions_missed = sum(states.get(one.text) is False for one in self._deleted)
        outcome.deletions_seen = outcome.deleted - outcome.deletions_missed
        for one in self._deleted:
            if states.get(one.text) is False:
                self._say(f"not noticed: {one.network} page {one.page}, comment {one.number}, by the {one.by}")
        standing: dict[str, int] = {}
        for network in self._texts:
            for item in (await self._stage.control(network, "answers"))["items"]:
                standing[item["text"]] = standing.get(item["text"], 0) + 1
        known = {str(row["id"]): row for row in await self._stage.fetch("SELECT * FROM publications")}
        outcome.asked = len(self._answers)
        for answer in self._answers:
            count, row = standing.get(answer.text, 0), known[answer.publication]
            if count == 1 and row["status"] == "published":
                outcome.published_once += 1
                continue
            outcome.unpublished += count == 0 or row["status"] != "published"
            outcome.published_twice += count > 1
            self._say(
                f"stands {count} times: {answer.network} page {answer.page}, {row['status']} after"
                f" {row['attempts']} attempts: {row['failure']}"
            )
        return outcome
