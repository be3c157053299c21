"""Each value of the API's closed lists has a Russian label, and each list is defined once."""

from enum import StrEnum
from typing import Any, get_args

import pytest

from services.appeals.classification.types import LocationSource, MessageType, NeedsAnswer
from services.appeals.exports.export_requests import ExportStatus
from services.appeals.lifecycle.route_snapshot import TriageReason
from services.appeals.lifecycle.transitions import AssignmentKind
from services.appeals.lifecycle.unread_marks import UnreadReason
from services.appeals.routing.rules import PageOwnerSphere, SendTo
from services.appeals.schemas.replies.replies import ReplyChangeStatus, ReplyStatus
from services.appeals.schemas.routing.rule_sets import RuleSetStatus
from services.appeals.schemas.sla.deadlines import ClockKind
from services.appeals.schemas.sla.sla_policies import DeadlineStart
from services.appeals.sla.deadlines import ClockEventKind, ClockState, NotCounted, TimeUnit
from services.console.pages.appeal.appeal_words import WORDS
from services.console.words.labels import LABELS, joined
from services.ingest.networks.port import CallbackState
from services.ingest.schemas.base import SOURCE_KINDS
from services.ingest.schemas.erasures import ErasureGround, ErasureStatus
from services.ingest.schemas.sources import PageCollectionState, PageTokenState
from services.ingest.schemas.sync import BackfillStatus
from services.ingest.schemas.tokens import NetworkTokenKind
from services.registry.import_export.columns import EXPORTED_COLUMNS
from services.registry.schemas.organisations import OrganisationNameKind
from services.registry.schemas.page_checks import WatchedPageField
from services.registry.schemas.pages import EvidenceKind, OfficialPageState, PageStepKind
from services.registry.schemas.successions import SuccessionKind
from services.webhooks.schemas.notices import (
    AccountState,
    AddressState,
    NoticeChannel,
    NoticeDelivery,
    NoticeKind,
    NoticeReason,
    NoticeStatus,
)
from services.webhooks.schemas.webhooks import WebhookDeliveryStatus
from shared.auth.rights import Right, Role
from shared.contracts import values
from shared.networks import NETWORKS

LISTS: dict[str, Any] = {
    "appeal_status": values.AppealStatus,
    "reply_status": ReplyStatus,
    "reply_kind": values.ReplyKind,
    "urgency": values.Urgency,
    "network": NETWORKS,
    "outcome": values.AppealOutcome,
    "promise_status": values.PromiseStatus,
    "clock": ClockKind,
    "answer_channel": values.AnswerChannel,
    "feedback": values.FeedbackKind,
    "triage_reason": TriageReason,
    "needs_answer": NeedsAnswer,
    "message_kind": values.MessageKind,
    "message_type": MessageType,
    "language": values.Language,
    "alert_kind": values.AlertKind,
    "incident_origin": values.IncidentOrigin,
    "organisation_kind": values.OrganisationKind,
    "name_kind": OrganisationNameKind,
    "succession_kind": SuccessionKind,
    "page_state": OfficialPageState,
    "page_step": PageStepKind,
    "evidence_kind": EvidenceKind,
    "watched_field": WatchedPageField,
    # The preview of an import never changes an id.
    "import_field": [column.field for column in EXPORTED_COLUMNS if column.field != "id"],
    "role": Role,
    "right": Right,
    "address_state": AddressState,
    "account_state": AccountState,
    "export_status": ExportStatus,
    "notice_channel": NoticeChannel,
    "notice_kind": NoticeKind,
    "notice_delivery": NoticeDelivery,
    "notice_status": NoticeStatus,
    "notice_reason": NoticeReason,
    "send_to": SendTo,
    "page_owner_sphere": PageOwnerSphere,
    "rule_set_status": RuleSetStatus,
    "time_unit": TimeUnit,
    "deadline_start": DeadlineStart,
    "collection_state": PageCollectionState,
    "token_state": PageTokenState,
    "token_kind": NetworkTokenKind,
    "callback_state": CallbackState,
    "source_kind": SOURCE_KINDS,
    "backfill_status": BackfillStatus,
    "delivery_status": WebhookDeliveryStatus,
    "erasure_status": ErasureStatus,
    "erasure_ground": ErasureGround,
    "read_subject": values.PersonalDataSubject,
}
# These lists are open: other systems submit appeals under their own names.
OPEN_LISTS = {"channel", "source"}
APPEAL_WORDS: dict[str, Any] = {
    "clock_state": ClockState,
    "clock_event": ClockEventKind,
    "not_counted": NotCounted,
    "escalation": values.EscalationStep,
    "extension_status": values.ExtensionStatus,
    "extension_ended": values.ExtensionEndReason,
    "unit": TimeUnit,
    "location_source": LocationSource,
    "unread": UnreadReason,
    "deleted_by": values.DeletedBy,
    "note_visibility": values.NoteVisibility,
    "ground": values.WithdrawalGround,
    "reply_change": values.ReplyChangeKind,
    "reply_change_status": ReplyChangeStatus,
    "assignment": AssignmentKind,
}


def values_of(closed_list: Any) -> set[str]:
    """Return the values of an enum, of a named Literal, or of a collection."""
    if isinstance(closed_list, type) and issubclass(closed_list, StrEnum):
        return {member.value for member in closed_list}
    return set(get_args(closed_list.__value__) if hasattr(closed_list, "__value__") else closed_list)


@pytest.mark.parametrize("kind", LISTS)
def test_each_value_has_a_label(kind: str) -> None:
    assert set(LABELS[kind]) == values_of(LISTS[kind])


@pytest.mark.parametrize("kind", APPEAL_WORDS)
def test_each_value_on_the_appeal_page_has_a_label(kind: str) -> None:
    assert set(WORDS[kind]) == values_of(APPEAL_WORDS[kind])


def test_each_kind_of_labels_is_compared_with_the_api() -> None:
    assert set(LABELS) == LISTS.keys() | OPEN_LISTS


def test_list_of_labels_defined_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="defined twice: channel"):
        joined({"channel": {"vk": "ВКонтакте"}}, {"channel": {"vk": "ВК"}})
