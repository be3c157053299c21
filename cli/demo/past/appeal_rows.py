"""The rows of made-up appeals, as the services would have written them until now."""

from cli.demo.past.answering import Answering
from cli.demo.past.appeal_draft import AppealDraft, Surroundings
from cli.demo.past.opening import close_unanswered, delete_by_community, open_appeal
from cli.demo.past.volumes import Occasion
from shared.tables.appeals import WITH_SOMEBODY_STATUSES

_CLOSED_SHARE = 0.015
# For an organisation of quality 0.
_NEVER_ANSWERED_SHARE = 0.03
_CLOSED_REASON = "Повтор рассмотренного вопроса"


def add_appeal(at: Surroundings, occasion: Occasion) -> None:
    """Add an appeal with its dependent rows; `NetworkRows.write_messages` adds its messages at the end."""
    draft = open_appeal(at, occasion)
    if draft.appeal.status == "assigned":
        answering = Answering(draft)
        if at.rng.random() < _CLOSED_SHARE:
            close_unanswered(draft, _CLOSED_REASON)
        elif at.rng.random() >= _NEVER_ANSWERED_SHARE * (1 - draft.owner.quality):
            answering.answer()
        if draft.appeal.status in WITH_SOMEBODY_STATUSES:
            answering.note_overdue(at.now)
        answering.finish()
        delete_by_community(draft)
    _add_final_rows(draft)


def _add_final_rows(draft: AppealDraft) -> None:
    """Add the appeal and its clocks, which later events changed. Clear past due times, so that no worker acts."""
    appeal, at = draft.appeal, draft.at
    if appeal.next_escalation_at is not None and appeal.next_escalation_at < at.now:
        appeal.next_escalation_at = None
    appeal.version = draft.entries
    for clock in appeal.clocks:
        clock.id = at.ids.new(clock.received_at)
        clock.created_at = clock.start_recorded_at = clock.received_at
        clock.updated_at = clock.stopped_at or clock.received_at
        if clock.next_warning_at is not None and clock.next_warning_at < at.now:
            clock.next_warning_at = None
        at.writer.add_object(clock)
        for event in clock.events:
            event.clock_id, event.recorded_at = clock.id, event.at
            at.writer.add_object(event)
    at.writer.add_object(appeal)
