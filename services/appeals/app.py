"""Wiring of the appeals service: routers, consumers, workers and jobs."""

# ruff: noqa: PLC0415 - the worker does not load what only the API serves

from services.appeals import worker
from services.appeals.alerts.unseen_gauge import run_gauge_updates
from services.appeals.attachments.file_storage import file_storage
from services.appeals.classification.classifier_pool import check_custom_model
from services.appeals.inbound import prefetch
from services.appeals.settings import contact_settings
from shared.jobs import Jobs
from shared.service import Routes, Service
from shared.tables.appeals import AppealsIdempotency


async def _check_settings(service: Service) -> None:
    """Refuse to start if the encryption keys of contacts are missing, attachments cannot be stored, or the custom
    model cannot be used.
    """
    contact_settings()
    await file_storage().prepare()
    await check_custom_model(service)


async def _load_word_forms(_service: Service) -> None:
    """Load what a search needs; only the API searches."""
    from services.appeals.search import word_forms

    word_forms.load()


def _routes() -> Routes:
    from services.appeals.api.appeals import (
        appeals,
        bulk,
        erasures,
        feedback,
        notes,
        presence,
        search_suggestions,
        triage,
    )
    from services.appeals.api.assignees import absences, assignee_rules, assignees
    from services.appeals.api.classification import classifications, reviews, topics
    from services.appeals.api.incidents import alerts, incidents
    from services.appeals.api.lists import export_jobs, exports, tags, views
    from services.appeals.api.partners import open311, partner_events, partners
    from services.appeals.api.replies import (
        attachments,
        promises,
        replies,
        reply_approvals,
        reply_changes,
        reply_drafts,
        reply_templates,
    )
    from services.appeals.api.routing import routing_rules, rule_sets
    from services.appeals.api.sla import deadlines, extensions, sla_policies

    return Routes(
        routers=[
            # Before the routers with an appeal id in their paths, whose patterns would match these paths too.
            bulk.router,
            search_suggestions.router,
            exports.router,
            export_jobs.router,
            appeals.router,
            tags.router,
            views.router,
            replies.router,
            promises.router,
            reply_changes.router,
            reply_drafts.router,
            reply_approvals.router,
            reply_templates.router,
            notes.router,
            presence.router,
            feedback.router,
            triage.router,
            classifications.router,
            reviews.router,
            incidents.router,
            alerts.router,
            topics.router,
            rule_sets.router,
            sla_policies.router,
            deadlines.router,
            extensions.router,
            routing_rules.router,
            assignee_rules.router,
            absences.router,
            assignees.router,
            attachments.router,
            partners.router,
        ],
        public=[partner_events.router],
        root=[open311.router, attachments.internal, erasures.internal],
        large_bodies={attachments.UPLOAD_PATH: attachments.MAX_UPLOAD_BODY},
        body_limits={
            partner_events.EVENTS_PATH: partner_events.MAX_EVENT_BODY,
            **dict.fromkeys(open311.REQUESTS_PATHS, open311.MAX_FORM_BODY),
        },
    )


def build_service() -> Service:
    """Return a new service with its routes, consumers, jobs and workers."""
    queue = Jobs("appeals")
    service = Service(
        "appeals",
        "Gospablik: appeals",
        routes=_routes,
        jobs=queue,
        consumers=worker.consumers(queue),
        workers={"classifier-prefetch": prefetch.run_prefetch, "alert-gauge": run_gauge_updates},
        answers=AppealsIdempotency,
        before=_check_settings,
        before_api=_load_word_forms,
        dependencies={"attachments": lambda _: file_storage().check()},
    )
    worker.register(service, queue)
    return service
