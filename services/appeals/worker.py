"""Background work of appeals: event consumers, jobs and schedules."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from services.appeals import jobs, retention
from services.appeals.assignments import access_changes
from services.appeals.attachments import uploads
from services.appeals.attachments.file_storage import file_storage
from services.appeals.bulk import runner as bulk_runner
from services.appeals.deadline_watch import (
    breach_recording,
    deadline_recomputation,
    deadline_warnings,
    escalations,
)
from services.appeals.exports import export_runner
from services.appeals.extensions import expiry
from services.appeals.feedback import recording
from services.appeals.inbound import event_consumer
from services.appeals.inbound.event_consumer import handle_events
from services.appeals.incidents import clustering, later_members
from services.appeals.incidents.bulk_reply import create_all_replies, create_delayed_reply
from services.appeals.lists import appeal_counts
from services.appeals.moderation import contacts
from services.appeals.partners import partners
from services.appeals.promises import broken_promises, promise_reminders
from services.appeals.publication import change_results, publication_events, publication_requests
from services.appeals.publication.publication_requests import on_job_dead_lettered
from services.appeals.routing import reroute as rerouting
from services.appeals.search import indexing
from services.appeals.search.documents import index_appeals
from shared.database.purge import RetentionSettings, purge_tables
from shared.database.sessions import Database, WriteSession
from shared.events.consumer import Consumer
from shared.jobs import Jobs
from shared.service import Service
from shared.tables.appeals import AppealsConsumerOffset

# Limit of each of the three kinds of jobs that people start and that run for minutes: more at once would leave
# too few of the pool's connections for publications and consumers.
_LONG_JOBS_AT_ONCE = 2
# Limit of each kind of jobs that go through many appeals after a change of the rules or the registry.
_RECOMPUTATIONS_AT_ONCE = 1


def consumers(queue: Jobs) -> tuple[Consumer, ...]:
    """Return the consumers; dead-lettered events go to `queue`."""
    return (
        Consumer(
            "appeals",
            AppealsConsumerOffset,
            (*event_consumer.MESSAGE_EVENT_TYPES, *publication_events.PUBLICATION_EVENT_TYPES),
            handle_events,
            queue,
        ),
        Consumer(
            "routing",
            AppealsConsumerOffset,
            rerouting.REGISTRY_EVENT_TYPES,
            rerouting.handle_registry_events,
            queue,
        ),
        Consumer(
            "assignees",
            AppealsConsumerOffset,
            access_changes.PERSON_EVENT_TYPES,
            access_changes.handle_person_events,
            queue,
        ),
        Consumer(
            "sla",
            AppealsConsumerOffset,
            deadline_recomputation.REGISTRY_EVENT_TYPES,
            deadline_recomputation.handle_registry_events,
            queue,
        ),
        Consumer("search", AppealsConsumerOffset, indexing.INDEXED_EVENT_TYPES, indexing.handle_events, queue),
        # This consumer reads the service's own events, most of them emitted by the first consumer.
        Consumer(
            "clustering",
            AppealsConsumerOffset,
            clustering.CLUSTERING_EVENT_TYPES,
            clustering.handle_appeal_events,
            queue,
        ),
    )


def register(service: Service, queue: Jobs) -> None:
    """Register the handlers of the jobs and schedules."""

    @queue.handler(jobs.REQUEST_PUBLICATION, on_dead_letter=on_job_dead_lettered)
    async def request_publication(payload: dict[str, Any]) -> None:
        await publication_requests.send_publication_request(service, UUID(payload["reply_id"]), again=False)

    @queue.handler(jobs.RETRY_PUBLICATION, on_dead_letter=on_job_dead_lettered)
    async def retry_publication(payload: dict[str, Any]) -> None:
        await publication_requests.send_publication_request(service, UUID(payload["reply_id"]), again=True)

    @queue.handler(jobs.CHANGE_PUBLICATION, on_dead_letter=change_results.on_job_dead_lettered)
    async def change_publication(payload: dict[str, Any]) -> None:
        await change_results.send_change_request(service, UUID(payload["change_id"]))

    @queue.handler(jobs.REROUTE_APPEALS, concurrency=_RECOMPUTATIONS_AT_ONCE)
    async def reroute_appeals(payload: dict[str, Any]) -> None:
        rule_set_id = payload.get("rule_set_id")
        await rerouting.reroute_appeals(
            service.database,
            include_untouched=payload["include_untouched"],
            rule_set_id=UUID(rule_set_id) if rule_set_id else None,
        )

    @queue.handler(jobs.RECOMPUTE_DEADLINES, concurrency=_RECOMPUTATIONS_AT_ONCE)
    async def recompute_deadlines(payload: dict[str, Any]) -> None:
        await deadline_recomputation.recompute_deadlines(
            service.database,
            {UUID(found) for found in payload["calendars"]},
            {UUID(found) for found in payload["organisations"]},
        )

    # Covers appeals that were opened while the rules or the registry were changing.
    @queue.schedule("reroute-unassigned", "17 * * * *")
    async def reroute_unassigned() -> None:
        await rerouting.reroute_appeals(service.database, include_untouched=False)

    @queue.handler(jobs.RELEASE_APPEALS)
    async def release_appeals(payload: dict[str, Any]) -> None:
        await access_changes.release_appeals(service.database, UUID(payload["person_id"]))

    # Covers appeals that were assigned to a person while the person's access was changing.
    @queue.schedule("release-appeals", "*/10 * * * *")
    async def release_remaining_appeals() -> None:
        await access_changes.release_appeals(service.database)

    @queue.handler(jobs.CREATE_INCIDENT_REPLIES, concurrency=_LONG_JOBS_AT_ONCE)
    async def create_incident_replies(payload: dict[str, Any]) -> None:
        reply_id, appeal_id = UUID(payload["incident_reply_id"]), payload.get("appeal_id")
        if appeal_id is not None:
            await create_delayed_reply(service, reply_id, UUID(appeal_id))
        else:
            await create_all_replies(service, reply_id, payload.get("joined_from"))

    @queue.handler(jobs.REPLY_TO_ASSIGNED_MEMBERS)
    async def reply_to_assigned_members(payload: dict[str, Any]) -> None:
        for appeal_id in payload["appeal_ids"]:
            await later_members.reply_to_assigned_member(service.database, UUID(appeal_id))

    @queue.handler(
        jobs.RUN_EXPORT, on_dead_letter=export_runner.on_job_dead_lettered, concurrency=_LONG_JOBS_AT_ONCE
    )
    async def run_export(payload: dict[str, Any]) -> None:
        await export_runner.run_export(service.database, UUID(payload["export_id"]))

    @queue.handler(
        jobs.RUN_BULK_OPERATION, on_dead_letter=bulk_runner.on_job_dead_lettered, concurrency=_LONG_JOBS_AT_ONCE
    )
    async def run_bulk_operation(payload: dict[str, Any]) -> None:
        await bulk_runner.run_operation(service.database, UUID(payload["operation_id"]))

    @queue.schedule("record-breaches", "* * * * *")
    async def record_breaches() -> None:
        await _repeat(service.database, breach_recording.record_breaches)

    @queue.schedule("record-broken-promises", "* * * * *")
    async def record_broken_promises() -> None:
        await _repeat(service.database, broken_promises.record_broken_promises)

    @queue.schedule("remind-of-promises", "*/5 * * * *")
    async def remind_of_promises() -> None:
        await _repeat(service.database, promise_reminders.remind_of_promises)

    @queue.schedule("record-silence", "*/5 * * * *")
    async def record_silence() -> None:
        await _repeat(service.database, recording.record_silence)

    @queue.schedule("warn-of-deadlines", "* * * * *")
    async def warn_of_deadlines() -> None:
        await _repeat(service.database, deadline_warnings.record_warnings)

    @queue.schedule("escalate-appeals", "* * * * *")
    async def escalate_appeals() -> None:
        await _repeat(service.database, escalations.record_escalations)

    @queue.schedule("end-late-extension-requests", "* * * * *")
    async def end_late_extension_requests() -> None:
        await _repeat(service.database, expiry.end_late_requests)

    @queue.schedule("request-publications-again", "* * * * *")
    async def request_publications_again() -> None:
        async with service.database.write() as session:
            await publication_requests.request_unacknowledged_again(session)
            await change_results.request_unacknowledged_again(session)

    _register_search(service, queue)
    _register_maintenance(service, queue)


def _register_search(service: Service, queue: Jobs) -> None:
    @queue.handler(jobs.INDEX_APPEAL)
    async def index_appeal(payload: dict[str, Any]) -> None:
        async with service.database.write() as session:
            await index_appeals(session, [UUID(payload["appeal_id"])])

    @queue.handler(jobs.INDEX_ORGANISATION, concurrency=_RECOMPUTATIONS_AT_ONCE)
    async def index_organisation(payload: dict[str, Any]) -> None:
        await indexing.index_organisation(service.database, UUID(payload["organisation_id"]))

    @queue.schedule("index-missing", "13 * * * *")
    async def index_missing() -> None:
        await indexing.index_missing(service.database)


def _register_maintenance(service: Service, queue: Jobs) -> None:
    @queue.schedule("sum-up-appeal-counts", "*/5 * * * *")
    async def sum_up_appeal_counts() -> None:
        async with service.database.write() as session:
            await appeal_counts.sum_up(session)

    @queue.schedule("correct-appeal-counts", "41 18 * * *")
    async def correct_appeal_counts() -> None:
        async with service.database.write() as session:
            await appeal_counts.correct(session)

    @queue.schedule("reencrypt-contacts", "49 18 * * *")
    async def reencrypt_contacts() -> None:
        await contacts.reencrypt_contacts(service.database)
        await partners.reencrypt_secrets(service.database)

    @queue.schedule("purge", "27 * * * *")
    async def purge_expired() -> None:
        terms = RetentionSettings()
        await purge_tables(service.database, [*retention.purge_rules(terms), *queue.purge_rules(terms)])

    # At night, because the storage lists all its files.
    @queue.schedule("remove-orphan-files", "57 18 * * *")
    async def remove_orphan_files() -> None:
        await uploads.remove_orphan_files(service.database, file_storage())


async def _repeat(database: Database, batch: Callable[[WriteSession], Awaitable[object]]) -> None:
    """Process batches, each in its own transaction, until one finds nothing."""
    while True:
        async with database.write() as session:
            if not await batch(session):
                return
