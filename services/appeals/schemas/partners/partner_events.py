"""Schemas of the events that partners send: one model for each type, and the receipt."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, RootModel, StringConstraints, model_validator
from typing_extensions import TypeAliasType

from services.appeals.field_types import BoundedDatetime, NonBlankText, SingleLine
from services.appeals.schemas.appeals.appeals import AppealFields, AppealIn, AppealText
from services.appeals.schemas.appeals.submissions import ExternalId
from services.appeals.schemas.common import RequestBody
from services.appeals.schemas.replies.replies import RecordedAnswerIn
from shared.contracts.values import PartnerStatus

PartnerEventType = TypeAliasType("PartnerEventType", Literal["appeal.create", "appeal.status", "appeal.answer"])


class PartnerAppealIn(AppealFields):
    """An appeal of the partner: the fields of `POST /appeals`; its source is that of the partner."""

    external_id: ExternalId = Field(description="The partner's own id, which names the appeal in later events")
    text: AppealText

    def with_source(self, source: str) -> AppealIn:
        """Return the appeal as a body of `POST /appeals` with this source, so that a repetition is recognised
        through either route.
        """
        return AppealIn.model_validate(self.model_dump(exclude_unset=True) | {"source": source})


class NamedAppealIn(RequestBody):
    """Names an appeal by exactly one of two ids."""

    external_id: ExternalId | None = Field(
        default=None, description="The id with which the partner opened the appeal"
    )
    appeal_id: UUID | None = Field(
        default=None, description="Our id of the appeal, for one that the partner did not open"
    )

    @model_validator(mode="after")
    def _one_id(self) -> "NamedAppealIn":
        if (self.external_id is None) == (self.appeal_id is None):
            raise ValueError("Give either external_id or appeal_id")
        return self


class PartnerStatusIn(NamedAppealIn):
    """How far the partner is with an appeal."""

    status: PartnerStatus = Field(examples=["in_progress"])
    note: Annotated[NonBlankText, StringConstraints(max_length=2_000)] | None = Field(
        default=None, description="For colleagues, in the timeline", examples=["Бригада выехала"]
    )


class PartnerAnswerIn(NamedAppealIn, RecordedAnswerIn):
    """An answer that the citizen got from the partner."""

    answered_by: Annotated[SingleLine, StringConstraints(max_length=300)] | None = Field(
        default=None, description="Who answered, in the partner's words", examples=["Диспетчер ЕДДС Иванова А. П."]
    )


class _PartnerEvent(RequestBody):
    timestamp: BoundedDatetime | None = Field(
        default=None,
        description="When it happened in the partner's system",
        examples=["2026-11-27T16:41:00+08:00"],
    )


class AppealCreateEvent(_PartnerEvent):
    """Open an appeal."""

    type: Literal["appeal.create"]
    data: PartnerAppealIn


class AppealStatusEvent(_PartnerEvent):
    """Report a status. It is shown in the timeline and never moves or closes the appeal."""

    type: Literal["appeal.status"]
    data: PartnerStatusIn


class AppealAnswerEvent(_PartnerEvent):
    """Report an answer: recorded if the appeal has no thread in a network, otherwise a draft for its staff."""

    type: Literal["appeal.answer"]
    data: PartnerAnswerIn


PartnerEventModel = AppealCreateEvent | AppealStatusEvent | AppealAnswerEvent
PARTNER_EVENT_MODELS: Mapping[str, type[PartnerEventModel]] = {
    "appeal.create": AppealCreateEvent,
    "appeal.status": AppealStatusEvent,
    "appeal.answer": AppealAnswerEvent,
}
PARTNER_EVENT_EXAMPLES: Mapping[str, Mapping[str, Any]] = {
    "appeal.create": {
        "type": "appeal.create",
        "timestamp": "2026-11-27T16:40:00+08:00",
        "data": {"external_id": "2026-11-0417", "text": "На улице Гагарина не горят фонари"},
    },
    "appeal.status": {
        "type": "appeal.status",
        "timestamp": "2026-11-27T16:50:00+08:00",
        "data": {"external_id": "2026-11-0417", "status": "in_progress", "note": "Бригада выехала"},
    },
    "appeal.answer": {
        "type": "appeal.answer",
        "timestamp": "2026-11-27T18:05:00+08:00",
        "data": {
            "external_id": "2026-11-0417",
            "channel": "phone",
            "text": "Фонари на улице Гагарина снова горят.",
            "answered_at": "2026-11-27T18:00:00+08:00",
            "outcome": "solved",
            "answered_by": "Диспетчер ЕДДС Иванова А. П.",
        },
    },
}


class PartnerEventIn(RootModel[PartnerEventModel]):
    """An event of one of three types, which `type` names."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [dict(one) for one in PARTNER_EVENT_EXAMPLES.values()]}
    )

    root: PartnerEventModel = Field(discriminator="type")


class PartnerEventReceipt(BaseModel):
    """What an event did. A repeated event gets the first receipt again."""

    id: str = Field(description="Its `webhook-id`", examples=["evt_2026-11-0417_1"])
    type: PartnerEventType
    appeal_id: UUID
    appeal_number: int = Field(examples=[1024])
    opened: bool = Field(description="It opened the appeal", examples=[True])
    reply_id: UUID | None = Field(description="The answer that it recorded or drafted", examples=[None])
    received_at: datetime
