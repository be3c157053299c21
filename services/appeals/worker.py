"""The work appeals does by itself: messages become cases, publications move them, answers are asked of ingest."""

from typing import Any
from uuid import UUID

from services.appeals import jobs, retention
from services.appeals.inbound import event_consumer
from services.appeals.inbound.event_consumer import handle
from services.appeals.incidents import clustering
from services.appeals.incidents.bulk_reply import _answer_all, _answer_one
from services.appeals.lifecycle import breach_recording
from services.appeals.replies import publication_events, publication_requests
from services.appeals.replies.publication_requests import _ask, _give_up
from services.appeals.routing import reroute as rerouting
from shared.database.purge import Terms, purge
from shared.events.consumer import Consumer
from shared.service import Service
from shared.tables.appeals import AppealsCursor

consumers = (
    Consumer(
        "appeals", AppealsCursor, (*event_consumer.TYPES, *publication_events.PUBLICATION_TYPES), handle, jobs.jobs
    ),
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
                if not await breach_recording.note_overdue(session):
                    return

    @jobs.jobs.every("ask-again", "* * * * *")
    async def ask_again() -> None:
        async with service.database.write() as session:
            await publication_requests.to_ask_again(session)

    @jobs.jobs.every("purge", "27 * * * *")
    async def purge_expired() -> None:
        terms = Terms()
        await purge(service.database, [*retention.rules(terms), *jobs.jobs.log_rules(terms)])
