"""The rows of made-up appeals: all that the services would have written until now."""

from cli.demo.past.answering import Answering
from cli.demo.past.appeal_draft import AppealDraft, Surroundings
from cli.demo.past.opening import close_unanswered, delete_by_community, open_appeal
from cli.demo.past.volumes import Occasion
from shared.tables.appeals import WITH_SOMEBODY_STATUSES

_CLOSED_SHARE = 0.015
# Of an organisation that answers nothing well.
_NEVER_ANSWERED_SHARE = 0.03
_CLOSED_REASON = "Повтор рассмотренного вопроса"


def add_appeal(at: Surroundings, occasion: Occasion) -> None:
    """Add an appeal with all that belongs to it. Its messages are added in the end, by `NetworkRows`."""
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
    """Add what later events change: the appeal and its clocks. Nothing past is left for the workers to do."""
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
