"""Changes of an appeal's topic, location and urgency: the event, and the adjustment of clocks."""

from collections.abc import Mapping

from services.appeals.classification.types import LOCATION_PARTS
from services.appeals.lifecycle.timeline import AppealRecorder, event_snapshot
from services.appeals.sla import clocks
from services.appeals.sla.sla_context import SlaContext
from shared.contracts.appeal_events import AppealClassification, AppealReclassified
from shared.tables.appeals import Appeal


def classification_fields(appeal: Appeal) -> dict[str, str | None]:
    """Return the appeal's topic, location and urgency."""
    return {
        "topic_id": str(appeal.topic_id) if appeal.topic_id else None,
        **{part: getattr(appeal, part) for part in LOCATION_PARTS},
        "urgency": appeal.urgency,
    }


def record_reclassified(
    recorder: AppealRecorder, appeal: Appeal, before: dict[str, str | None], actor: str
) -> None:
    """Emit `appeal.reclassified` if topic, location or urgency changed."""
    after = classification_fields(appeal)
    changed = [name for name, value in after.items() if value != before[name]]
    if changed:
        reclassified = AppealReclassified(
            **event_snapshot(appeal),
            changed=changed,
            before=_published_classification(before),
            after=_published_classification(after),
        )
        recorder.add_event(reclassified, actor)


def _published_classification(fields: Mapping[str, str | None]) -> AppealClassification:
    """Return the fields of a classification that events contain. Street and house are omitted as personal data."""
    return AppealClassification(**{name: fields[name] for name in AppealClassification.model_fields})


def raise_urgency(appeal: Appeal, sla: SlaContext, recorder: AppealRecorder, actor: str, *, why: str) -> None:
    """Make the appeal urgent and alert moderators.

    Running and paused clocks get the shorter deadline of urgent appeals, counted from the same start.
    """
    appeal.urgency = "high"
    follow_classification(appeal, sla, actor)
    recorder.add_timeline_entry(appeal, "urgency_changed", actor, urgency="high", why=why)
    recorder.add_alert("urgent", appeal, why)


def follow_classification(appeal: Appeal, sla: SlaContext, actor: str) -> None:
    """Apply the policy for the topic and urgency of an assigned appeal to its running and paused clocks, from
    their start.
    """
    if appeal.organisation_id is not None and appeal.status != "triage":
        clocks.follow_appeal(appeal, sla, actor)
