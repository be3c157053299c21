"""The work appeals does by itself: messages become cases, publications move them, answers are asked of ingest."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from services.appeals import jobs, retention
from services.appeals.inbound import event_consumer
from services.appeals.incidents import bulk_reply, clustering
from services.appeals.lifecycle import alerts
from services.appeals.replies import submission
from services.appeals.routing import repository
from services.appeals.routing import reroute as rerouting
from services.appeals.sla import breaches
from shared.database.purge import Terms, purge
from shared.database.sessions import WriteSession
from shared.events.consumer import Consumer
from shared.jobs import TryLater
from shared.service import Service
from shared.service_client import ServiceRefused, ServiceUnavailable
from shared.tables.appeals import Appeal, AppealsCursor, Reply
from shared.tables.common import Event


async def handle(session: WriteSession, events: Sequence[Event]) -> None:
    """One batch: runs of messages together, publications one by one, in the order of the events."""
    if any(event.type in event_consumer.TYPES for event in events):
        await repository.keep_in_force(session)
    run: list[Event] = []
    about_messages = True
    for event in events:
        if (event.type in event_consumer.TYPES) != about_messages:
            await _flush(session, run, about_messages)
            run, about_messages = [], event.type in event_consumer.TYPES
        run.append(event)
    await _flush(session, run, about_messages)


async def _flush(session: WriteSession, run: Sequence[Event], about_messages: bool) -> None:
    if run and about_messages:
        await event_consumer.handle(session, run)
    elif run:
        await submission.follow_publications(session, run)


consumers = (
    Consumer("appeals", AppealsCursor, (*event_consumer.TYPES, *submission.PUBLICATION_TYPES), handle, jobs.jobs),
    Consumer("routing", AppealsCursor, rerouting.REGISTRY_TYPES, rerouting.follow_registry, jobs.jobs),
    # After the first: it reads what that one tells.
    Consumer("gathering", AppealsCursor, clustering.TYPES, clustering.handle, jobs.jobs),
)


def register(service: Service) -> None:
    """Give the jobs and schedules their handlers."""

    @jobs.jobs.job(jobs.REQUEST_PUBLICATION, on_held=_give_up)
    async def request_publication(payload: dict[str, Any]) -> None:
        await _ask(service, UUID(payload["reply_id"]), again=False)

    @jobs.jobs.job(jobs.RETRY_PUBLICATION, on_held=_give_up)
    async def retry_publication(payload: dict[str, Any]) -> None:
        await _ask(service, UUID(payload["reply_id"]), again=True)

    @jobs.jobs.job(jobs.REROUTE)
    async def reroute(payload: dict[str, Any]) -> None:
        asked_by = payload.get("rule_set_id")
        await rerouting.apply(
            service.database,
            untouched=payload["untouched"],
            rule_set_id=UUID(asked_by) if asked_by else None,
        )

    # A case that was opened in the very moment of a change is found by this.
    @jobs.jobs.every("retry-ownerless", "17 * * * *")
    async def retry_ownerless() -> None:
        await rerouting.apply(service.database, untouched=False)

    @jobs.jobs.job(jobs.ANSWER_INCIDENT)
    async def answer_incident(payload: dict[str, Any]) -> None:
        reply_id, appeal_id = UUID(payload["incident_reply_id"]), payload.get("appeal_id")
        if appeal_id is not None:
            await _answer_one(service, reply_id, UUID(appeal_id))
        else:
            await _answer_all(service, reply_id, payload.get("joined_from"))

    @jobs.jobs.every("note-overdue", "* * * * *")
    async def note_overdue() -> None:
        while True:
            async with service.database.write() as session:
                if not await breaches.note_overdue(session):
                    return

    @jobs.jobs.every("ask-again", "* * * * *")
    async def ask_again() -> None:
        async with service.database.write() as session:
            await submission.to_ask_again(session)

    @jobs.jobs.every("purge", "27 * * * *")
    async def purge_expired() -> None:
        terms = Terms()
        await purge(service.database, [*retention.rules(terms), *jobs.jobs.log_rules(terms)])


async def _give_up(session: WriteSession, payload: dict[str, Any], _reason: str) -> None:
    """Fail the reply whose job is held: nobody else would ask ingest again."""
    await submission.note_held(session, UUID(payload["reply_id"]))


async def _answer_all(service: Service, reply_id: UUID, joined_from: str | None) -> None:
    """Make the replies of an answer to an incident, some cases a transaction."""
    since = datetime.fromisoformat(joined_from) if joined_from else None
    last: UUID | None = None
    while True:
        async with service.database.write() as session:
            last = await bulk_reply.make_some(session, reply_id, joined_from=since, after=last)
        if last is None:
            return


async def _answer_one(service: Service, reply_id: UUID, appeal_id: UUID) -> None:
    """Make the reply of an appeal whose interim reply was under way; try later while it still is."""
    async with service.database.write() as session:
        made = await bulk_reply.make_one(session, reply_id, appeal_id)
    if not made:
        raise TryLater(bulk_reply.LOOKED_AT_AGAIN, "another reply to the appeal is under way")


FIGURES_SECONDS = 15.0


async def keep_figures(service: Service) -> None:
    """Keep the figures for Prometheus up to date, for ever."""
    while True:
        async with service.database.read() as session:
            await alerts.measure(session)
        await asyncio.sleep(FIGURES_SECONDS)


async def _ask(service: Service, reply_id: UUID, *, again: bool) -> None:
    """Ask ingest to publish an answer, or to try its failed publication `again`, outside any transaction."""
    async with service.database.write() as session:
        reply = await session.get(Reply, reply_id)
        appeal = await session.get(Appeal, reply.appeal_id) if reply else None
        if reply is None or appeal is None or reply.status != "queued":
            return
        if not again:
            await submission.keep_target(session, reply)
    path, body, key = _command(reply, appeal.organisation_id, again=again)
    try:
        publication = await service.client().post("ingest", path, body, act=reply.author, idempotency_key=key)
    except ServiceRefused as refused:
        async with service.database.write() as session:
            words = f"Ответ не принят к публикации: {refused.problem.get('detail', refused)}"
            await submission.note_failure(session, reply_id, "refused", words, final=True)
    except ServiceUnavailable as unavailable:
        async with service.database.write() as session:
            words = "Служба обмена с сетями не отвечает, отправка повторится сама."
            await submission.note_failure(session, reply_id, submission.UNAVAILABLE, words, final=False)
        raise TryLater(timedelta(seconds=10), "ingest does not answer") from unavailable
    else:
        async with service.database.write() as session:
            await submission.note_requested(session, reply_id, publication)


def _command(reply: Reply, organisation_id: UUID | None, *, again: bool) -> tuple[str, dict[str, Any], str]:
    if again:
        # The version counts the tries, so each of them is a request of its own.
        path = f"/internal/publications/{reply.publication_id}/retry"
        return path, {"text": reply.text}, f"{reply.id}:{reply.version}"
    body = {
        "reply_id": str(reply.id),
        "appeal_id": str(reply.appeal_id),
        "message_id": str(reply.in_reply_to),
        "text": reply.text,
        "on_behalf_of": reply.author,
        "organisation_id": str(organisation_id) if organisation_id else None,
    }
    return "/internal/publications", body, str(reply.id)
