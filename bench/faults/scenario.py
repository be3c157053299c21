"""One run: write and delete messages, request replies, inject faults, and count the results."""

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

from bench.faults.fault_plan import MIX, RATE, Plan, PlannedFault, draw_plan
from bench.faults.processes import Page, TestSystem, Token, as_json

# The prefix of comments that will be deleted.
DELETED_PREFIX = "Сгоряча:"
PUBLISH = "/internal/publications"


@dataclass(frozen=True)
class Size:
    """The size of a run: totals of both networks, pages per network, turns, and times in seconds."""

    messages: int
    answers: int
    deletions: int
    pages: int
    turns: int
    kills: int
    turn_seconds: float
    timeout_seconds: float


@dataclass(frozen=True)
class RequestedReply:
    """A reply whose publication was requested."""

    network: str
    page: str
    text: str
    publication: str


@dataclass(frozen=True)
class DeletedMessage:
    """A comment that its author or the community deletes at the monotonic time `due`."""

    network: str
    page: str
    comment_id: str
    text: str
    deleted_by: str
    due: float


@dataclass
class Outcome:
    """The counts of a run. `deleted_unread`: comments that were deleted before any source read them."""

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
    calls_of_dead_tokens: dict[str, int] = field(default_factory=dict)
    faulted_calls: int = 0
    seconds: float = 0.0

    @property
    def kept_promises(self) -> int:
        """Return the number of guarantees kept."""
        return self.stored_once + self.published_once + self.deletions_seen

    @property
    def promises(self) -> int:
        """Return the number of guarantees: one per message, reply and deletion."""
        return self.written + self.asked + self.deleted


class Run:
    """A run on a test system."""

    def __init__(self, system: TestSystem, seed: int, size: Size) -> None:
        self._system = system
        self._size = size
        self._seed = seed
        self._rng = random.Random(f"run {seed}")
        self._plan: Plan = draw_plan(seed, size.kills)
        self._texts: dict[str, list[str]] = {"vk": [], "ok": []}
        self._requested: list[RequestedReply] = []
        self._answered_messages: set[UUID] = set()
        self._to_delete: list[DeletedMessage] = []
        self._deleted: list[DeletedMessage] = []
        self._active_faults: list[tuple[PlannedFault, Token, Page | None]] = []

    async def run(self) -> Outcome:
        """Run all turns, wait until all replies are published, reconcile, and return the counts."""
        started = time.monotonic()
        for network, mix in MIX.items():
            await self._system.control(network, "faults", {"mix": mix, "rate": RATE, "seed": self._seed})
        self._print(
            f"clocks are off by {as_json({who: round(one) for who, one in self._plan.clock_shifts.items()})} s"
        )
        kills, faults = list(self._plan.kills), list(self._plan.token_faults)
        restarted = False
        for turn in range(self._size.turns):
            share = turn / self._size.turns
            await asyncio.gather(*(self._write(network, turn) for network in self._texts))
            await self._write_deleted_messages(turn)
            while faults and faults[0].at <= share:
                await self._inject_fault(faults.pop(0))
            await self._repair_tokens(share)
            await asyncio.sleep(self._rng.uniform(0.3, 1.0) * self._size.turn_seconds)
            await self._delete(time.monotonic())
            await asyncio.gather(*(self._request_replies(network, turn) for network in self._texts))
            if kills and kills[0][0] <= share:
                _, name = kills.pop(0)
                self._print(f"SIGKILL to the {name} at {share:.2f}")
                await asyncio.sleep(self._rng.uniform(0, 1.5))
                self._system.processes[name].restart(signal.SIGKILL)
                await self._delete(time.monotonic())
            if not restarted and self._plan.restart <= share:
                restarted = True
                self._print("restart of Postgres")
                await asyncio.to_thread(self._system.database.restart, signal.SIGINT)
        while faults:
            await self._inject_fault(faults.pop(0))
        await self._repair_tokens(1.0)
        await self._delete(float("inf"))
        await self._wait_until_published()
        outcome = await self._count()
        outcome.seconds = time.monotonic() - started
        return outcome

    @staticmethod
    def _print(text: str) -> None:
        print(f"  {text}", flush=True)

    async def _write(self, network: str, turn: int) -> None:
        """Write this turn's share of the messages."""
        half = self._size.messages // len(self._texts)
        count = half * (turn + 1) // self._size.turns - half * turn // self._size.turns
        texts = [
            f"Когда починят дорогу на улице Лесной? Заявка {network} {turn} {n} {uuid4()}" for n in range(count)
        ]
        file = io.StringIO(newline="")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["text"])
        writer.writerows([text] for text in texts)
        answer = await self._system.networks[network].post("/_control/feed", content=file.getvalue().encode())
        answer.raise_for_status()
        if answer.json()["accepted"] != count:
            raise RuntimeError(f"{network} refused texts: {answer.text[:500]}")
        self._texts[network] += texts

    async def _write_deleted_messages(self, turn: int) -> None:
        """Write this turn's share of the comments to delete; some are due immediately."""
        total = self._size.deletions
        for number in range(total * turn // self._size.turns, total * (turn + 1) // self._size.turns):
            network = ("vk", "ok")[number % 2]
            page = self._rng.choice([one for one in self._system.pages if one.network == network])
            text = f"{DELETED_PREFIX} {network} {turn} {number} {uuid4()}"
            body = {"page": page.external_id, "kind": "comment", "text": text}
            written = await self._system.control(network, "citizen", body)
            due = time.monotonic() + self._rng.choice((0.0, self._rng.expovariate(0.5 / self._size.turn_seconds)))
            by = self._rng.choice(("author", "community"))
            self._to_delete.append(DeletedMessage(network, page.external_id, str(written["id"]), text, by, due))

    async def _delete(self, until: float) -> None:
        """Delete the comments that are due by this moment."""
        for one in [one for one in self._to_delete if one.due <= until]:
            self._to_delete.remove(one)
            body = {"page": one.page, "id": one.comment_id, "by": one.deleted_by, "kind": "comment"}
            await self._system.control(one.network, "delete", body)
            self._deleted.append(one)

    async def _request_replies(self, network: str, turn: int) -> None:
        """Request this turn's share of the replies, to stored messages."""
        half = self._size.answers // len(self._texts)
        wanted = half * (turn + 1) // self._size.turns - half * turn // self._size.turns
        while wanted > 0:
            rows = await self._system.fetch(
                "SELECT m.id, p.external_id FROM messages m JOIN pages p ON p.id = m.page_id WHERE m.network = $1"
                " AND NOT m.from_community AND NOT m.id = ANY($2::uuid[]) AND NOT starts_with(m.text, $3)"
                " ORDER BY m.received_at DESC LIMIT 400",
                network,
                list(self._answered_messages),
                DELETED_PREFIX,
            )
            if not rows:
                await asyncio.sleep(1)
                continue
            for row in self._rng.sample(rows, min(wanted, len(rows))):
                message, text = UUID(str(row["id"])), f"Ответ: бригада выйдет завтра, наряд {uuid4()}"
                publication = await self._request(message, text)
                self._answered_messages.add(message)
                self._requested.append(RequestedReply(network, str(row["external_id"]), text, publication["id"]))
                wanted -= 1

    async def _request(self, message: UUID, text: str) -> dict[str, Any]:
        body = {"reply_id": str(uuid4()), "message_id": str(message), "text": text, "on_behalf_of": "bench"}
        for _ in range(120):
            try:
                answer = await self._system.api.post(PUBLISH, json=body, headers=self._system.as_appeals(PUBLISH))
            except httpx.TransportError:
                await asyncio.sleep(0.5)
                continue
            if answer.status_code < 500:
                answer.raise_for_status()
                publication: dict[str, Any] = answer.json()
                return publication
            await asyncio.sleep(0.5)
        raise RuntimeError("ingest's API did not recover")

    async def _inject_fault(self, planned: PlannedFault) -> None:
        """Inject the planned error for a token."""
        tokens = [
            token
            for token in self._system.tokens
            if token.network == planned.network
            and token.data["kind"] == planned.kind
            and all(token is not used for _, used, _ in self._active_faults)
        ]
        token = tokens[planned.number % len(tokens)]
        page = next((one for one in self._system.pages if one.external_id == str(token.data.get("page"))), None)
        fault: dict[str, Any] = {
            "kind": "persistent",
            "code": planned.code,
            "token": token.secret,
            "until": planned.until,
        }
        if planned.methods:
            fault["methods"] = list(planned.methods)
        await self._system.control(planned.network, "faults", fault)
        self._active_faults.append((planned, token, page))
        self._print(f"{planned.network} error {planned.code} for a {planned.kind} token until: {planned.until}")

    async def _repair_tokens(self, share: float) -> None:
        """End the faults that are due: with a new token, a solved captcha or the end of the network's day."""
        for active in [one for one in self._active_faults if one[0].repaired_at <= share]:
            self._active_faults.remove(active)
            planned, token, page = active
            if planned.until == "replaced":
                await self._system.issue(planned.network, planned.kind, page)
            elif planned.until == "day_end":
                await self._system.control(planned.network, "next-day", {})
            else:
                solution = await self._system.control(planned.network, "solve", {"token": token.secret})
                stored = next(
                    one
                    for one in (await self._system.call("GET", "/sources/tokens"))["items"]
                    if one["id"] == token.id
                )
                # A token that is only paused, or already works again, needs no solution.
                if stored["state"] == "captcha":
                    body = {key: solution[key] for key in ("success_token",) if solution.get(key)}
                    await self._system.call("POST", f"/sources/tokens/{token.id}/recover", json=body)
            self._print(f"{planned.network} error {planned.code}: {planned.until}")

    async def _wait_until_published(self) -> None:
        """Wait, while faults continue, until all texts are stored and all replies are published and read back."""
        deadline = time.monotonic() + self._size.timeout_seconds
        last_print = 0.0
        while True:
            stored = (
                await self._system.fetch(
                    "SELECT count(DISTINCT text) AS n FROM messages"
                    " WHERE NOT from_community AND NOT starts_with(text, $1)",
                    DELETED_PREFIX,
                )
            )[0]["n"]
            states = {
                row["status"]: row["n"]
                for row in await self._system.fetch(
                    "SELECT status, count(*) AS n FROM publications GROUP BY status"
                )
            }
            written = sum(len(texts) for texts in self._texts.values())
            not_matched = (
                await self._system.fetch(
                    "SELECT count(*) AS n FROM publications p WHERE p.status = 'published'"
                    " AND NOT EXISTS (SELECT FROM messages m WHERE m.publication_id = p.id)"
                )
            )[0]["n"]
            if stored >= written and not not_matched and not states.keys() & {"queued", "sending", "uncertain"}:
                return
            if time.monotonic() > deadline:
                self._print(f"timeout: {stored} of {written} stored, publications {as_json(states)}")
                return
            if time.monotonic() - last_print > 20:
                last_print = time.monotonic()
                self._print(f"{stored} of {written} stored, publications {as_json(states)}")
            await asyncio.sleep(1)

    async def _reconcile(self) -> int:
        """Reconcile every page once more. Return the number of gaps found."""
        former = [row["id"] for row in await self._system.fetch("SELECT id FROM reconciliations")]
        for network in self._texts:
            await self._system.call("POST", "/sources/reconciliations", json={"network": network})
        wanted = len(self._system.pages)
        deadline = time.monotonic() + self._size.timeout_seconds
        while time.monotonic() < deadline:
            rows = await self._system.fetch(
                "SELECT DISTINCT ON (page_id) page_id, gaps + within_grace AS gaps, finished_at"
                " FROM reconciliations"
                " WHERE NOT id = ANY($1::uuid[]) ORDER BY page_id, started_at DESC",
                former,
            )
            if len(rows) == wanted and all(row["finished_at"] for row in rows):
                return int(sum(row["gaps"] for row in rows))
            await asyncio.sleep(1)
        raise RuntimeError("reconciliation did not finish")

    async def _wait_until_deletions_noticed(self) -> None:
        """Reconcile until all deletions are noticed: deletions of recent comments are recognised only later."""
        deadline = time.monotonic() + self._size.timeout_seconds
        while time.monotonic() < deadline:
            left = (
                await self._system.fetch(
                    "SELECT count(*) AS n FROM messages WHERE starts_with(text, $1) AND deleted_at IS NULL",
                    DELETED_PREFIX,
                )
            )[0]["n"]
            if not left:
                return
            self._print(f"{left} deletions are not noticed yet")
            await asyncio.sleep(20)
            await self._reconcile()

    async def _count(self) -> Outcome:
        outcome = Outcome()
        for network in self._texts:
            faults = await self._system.control(network, "faults")
            for item in faults["persistent"]:
                outcome.calls_of_dead_tokens[f"{network} {item['code']}"] = item["calls"]
            calls = await self._system.control(network, "calls")
            outcome.faulted_calls += sum(one["calls"] for one in calls.get("by_token", {}).values())
            (await self._system.networks[network].delete("/_control/faults")).raise_for_status()
        outcome.gaps = await self._reconcile()
        await self._wait_until_deletions_noticed()
        rows = await self._system.fetch(
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
            for row in await self._system.fetch(
                "SELECT text, bool_and(deleted_at IS NOT NULL) AS gone FROM messages"
                " WHERE starts_with(text, $1) GROUP BY text",
                DELETED_PREFIX,
            )
        }
        outcome.deleted = len(self._deleted)
        outcome.deleted_unread = sum(one.text not in states for one in self._deleted)
        outcome.deletions_missed = sum(states.get(one.text) is False for one in self._deleted)
        outcome.deletions_seen = outcome.deleted - outcome.deletions_missed
        for one in self._deleted:
            if states.get(one.text) is False:
                self._print(
                    f"missed: {one.network} page {one.page}, comment {one.comment_id}, by the {one.deleted_by}"
                )
        published: dict[str, int] = {}
        for network in self._texts:
            for item in (await self._system.control(network, "answers"))["items"]:
                published[item["text"]] = published.get(item["text"], 0) + 1
        publications = {str(row["id"]): row for row in await self._system.fetch("SELECT * FROM publications")}
        outcome.asked = len(self._requested)
        for reply in self._requested:
            count, row = published.get(reply.text, 0), publications[reply.publication]
            if count == 1 and row["status"] == "published":
                outcome.published_once += 1
                continue
            outcome.unpublished += count == 0 or row["status"] != "published"
            outcome.published_twice += count > 1
            self._print(
                f"published {count} times: {reply.network} page {reply.page}, {row['status']} after"
                f" {row['attempts']} attempts: {row['failure']}"
            )
        return outcome
