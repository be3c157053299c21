"""Schemas of replies."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field
from typing_extensions import TypeAliasType

from services.appeals.assignees.directory import ActorRef
from services.appeals.field_types import BoundedDatetime, NonBlankText
from services.appeals.replies.checks.hints import HintCode, HintSeverity
from services.appeals.replies.submission import MAX_REPLY_LENGTH
from services.appeals.schemas.common import RequestBody
from services.appeals.schemas.replies.attachments import AttachmentOut
from shared.contracts.values import (
    AnswerChannel,
    AppealOutcome,
    ReplyChangeKind,
    ReplyKind,
    ReplyOrigin,
    WithdrawalGround,
)
from shared.networks import MAX_PHOTOS

ReplyStatus = TypeAliasType(
    "ReplyStatus",
    Literal["draft", "on_approval", "queued", "sending", "uncertain", "published", "failed", "withdrawn"],
)
ReplyChangeStatus = TypeAliasType("ReplyChangeStatus", Literal["queued", "applied", "failed"])
NewReplyStatus = TypeAliasType("NewReplyStatus", Literal["draft"])
ApprovalDecision = TypeAliasType("ApprovalDecision", Literal["approved", "refused"])


class FailedReply(BaseModel):
    """The last reply that failed."""

    reply_id: UUID = Field(description="`POST /appeals/{id}/replies/{reply_id}/retry` retries it")
    code: str | None = Field(examples=["vk:15"])
    message: str | None = Field(examples=["Сеть не дала доступа."])
    at: datetime


class ReplyApproval(BaseModel):
    """The last request to approve a reply, and the decision on it."""

    reason: str = Field(
        description="The rule that requires it", examples=["Нужно согласование: тема «Здравоохранение»"]
    )
    requested_by: ActorRef
    requested_at: datetime
    decision: ApprovalDecision | None = Field(description="Null: not decided yet")
    decided_by: ActorRef | None
    decided_at: datetime | None
    remarks: str | None = Field(description="What the approver wrote", examples=["Назовите дату"])


class ReplyChangeFailure(BaseModel):
    """The reason why a change failed."""

    code: str = Field(examples=["vk:909"])
    message: str = Field(examples=["Сообщение слишком старое: ВКонтакте больше не даёт его править."])


class ReplyChangeProgress(BaseModel):
    """The progress of a change in the network, counted in parts of a long reply."""

    parts: int = Field(description="How many parts it changes", examples=[3])
    parts_done: int = Field(description="How many of them are done", examples=[1])
    failure: dict[str, Any] | None = Field(
        default=None,
        description="Why the last call did not succeed; while the change is `queued`, it is retried",
        examples=[None, {"code": "vk:9", "message": "Слишком часто: отправка повторится."}],
    )


class ReplyChangeOut(BaseModel):
    """An edit or a withdrawal of a published reply, requested here, or made in the network if staff wrote the
    reply there.
    """

    id: UUID
    kind: ReplyChangeKind = Field(examples=["edit"])
    status: ReplyChangeStatus = Field(
        description="`queued`: on its way to the network, which has not confirmed it", examples=["applied"]
    )
    text: str | None = Field(
        description="The new text of an edit", examples=["Ямочный ремонт начнётся во вторник."]
    )
    former_text: str = Field(
        description="What the network showed before", examples=["Ямочный ремонт начнётся в понедельник."]
    )
    promised_at: datetime | None = Field(
        description="The new date that an edit promises; null: the date stays", examples=[None]
    )
    former_promised_at: datetime | None = Field(
        description="What was promised before, if the edit moves it", examples=[None]
    )
    attachment_ids: list[UUID] | None = Field(
        description="The photos that an edit gives the reply; null: they stay", examples=[None]
    )
    former_attachment_ids: list[UUID] | None = Field(
        description="The photos before, if the edit changes them", examples=[None]
    )
    ground: WithdrawalGround | None = Field(
        description="Of a withdrawal; null also for a deletion by hand in the network", examples=[None]
    )
    reason: str = Field(examples=["Подрядчик перенёс работы"])
    requested_by: ActorRef
    requested_at: datetime
    ended_at: datetime | None = Field(description="When it was carried out or failed")
    failure: ReplyChangeFailure | None = Field(examples=[None])
    progress: ReplyChangeProgress | None = Field(
        description="Null until the first call to the network", examples=[{"parts": 1, "parts_done": 1}]
    )


class ReplyOut(BaseModel):
    """A reply and its status."""

    id: UUID
    version: int = Field(description="Send as `If-Match` to change, submit or approve it", examples=[3])
    origin: ReplyOrigin = Field(
        description="`network`: staff wrote it in the network itself; `recorded`: given by phone, in person or in "
        "writing"
    )
    channel: AnswerChannel | None = Field(description="How a recorded answer was given", examples=[None])
    answered_by: str | None = Field(
        default=None, description="Who gave an answer that a partner reported, in its words", examples=[None]
    )
    kind: ReplyKind
    text: str = Field(
        description="Of a published reply: what the network confirmed last; of a withdrawn one: what it showed",
        examples=["Ямочный ремонт начнётся в понедельник."],
    )
    status: ReplyStatus = Field(examples=["published"])
    author: ActorRef
    promised_at: datetime | None
    outcome: AppealOutcome | None = Field(description="How the matter ended with it, if its author said so")
    asks_mark: bool = Field(description="Whether the published text asks for a mark", examples=[False])
    in_reply_to: UUID | None = Field(
        description="The citizen's message that it answers, chosen when the reply is made; null for a recorded "
        "answer, and for one written in the network to nobody in particular"
    )
    publication_id: UUID | None
    url: str | None = Field(examples=["https://vk.com/wall-1_2?reply=4"])
    published_at: datetime | None = Field(examples=["2026-11-27T16:41:00+08:00"])
    failure: dict[str, Any] | None = Field(
        examples=[
            None,
            {
                "code": "vk:15",
                "message": "Сеть не дала доступа.",
                "at": "2026-03-02T10:00:00+08:00",
                "will_retry": False,
            },
        ]
    )
    approval: ReplyApproval | None = Field(
        description="The last request for approval; null if no rule required it", examples=[None]
    )
    attachments: list[AttachmentOut] = Field(
        default=[], description="The photos that are published with it, in this order"
    )
    changes: list[ReplyChangeOut] = Field(
        default=[], description="Its edits and withdrawals after the publication, oldest first", examples=[[]]
    )
    created_at: datetime = Field(description="When it was submitted or approved; of a draft: when it was begun")


class ReplyIn(RequestBody):
    """A reply to the citizen."""

    text: Annotated[NonBlankText, Field(max_length=MAX_REPLY_LENGTH)] = Field(
        examples=["Ямочный ремонт начнётся в понедельник."]
    )
    kind: ReplyKind = "final"
    promised_at: BoundedDatetime | None = Field(
        default=None, description="With `interim`: when the final reply will come"
    )
    outcome: AppealOutcome | None = Field(
        default=None, description="With `final`: how the matter ends with it; null: not stated"
    )
    ask_mark: bool = Field(
        default=False,
        description="With the outcome `solved`: end the text with the installation's request for a mark",
    )
    message_id: UUID | None = Field(
        default=None,
        description="The message to reply to; by default the latest that needs an answer. Later messages do not "
        "change it",
    )
    attachments: list[UUID] = Field(
        default=[],
        max_length=MAX_PHOTOS,
        description="Photos to publish with it, from `POST /attachments`. VK takes 2 with a comment and 10 in a "
        "conversation, OK 1 with a comment and none in a conversation",
        examples=[[]],
    )
    status: NewReplyStatus | None = Field(
        default=None, description="`draft`: only begin a draft; left out: submit the reply"
    )


class ReplyDraftIn(RequestBody):
    """The current content of a draft."""

    text: Annotated[NonBlankText, Field(max_length=MAX_REPLY_LENGTH)] = Field(
        examples=["Здравствуйте! Ямочный ремонт начнётся в понедельник."]
    )
    kind: ReplyKind = "final"
    promised_at: BoundedDatetime | None = Field(
        default=None, description="With `interim`: when the final reply will come"
    )
    outcome: AppealOutcome | None = Field(
        default=None, description="With `final`: how the matter ends with it; null: not stated"
    )
    ask_mark: bool = Field(
        default=False,
        description="With the outcome `solved`: end the text with the installation's request for a mark",
    )
    message_id: UUID | None = Field(default=None, description="The message to reply to; unchanged when left out")
    attachments: list[UUID] | None = Field(
        default=None,
        max_length=MAX_PHOTOS,
        description="The photos to publish with it; unchanged when left out",
        examples=[[]],
    )


class ReplyRefusalIn(RequestBody):
    """The refusal of a reply, with remarks for its author."""

    remarks: Annotated[NonBlankText, Field(max_length=2_000)] = Field(
        description="What its author has to change", examples=["Назовите дату и телефон мастера"]
    )


class ReplyHint(BaseModel):
    """A hint from the checks of a reply."""

    code: HintCode = Field(examples=["no_date"])
    severity: HintSeverity = Field(description="Only `blocking` prevents publication")
    message: str = Field(
        description="For the author of the reply", examples=["Не сказано, когда: назовите дату или срок."]
    )
    start: int | None = Field(
        description="First character (Unicode code point) that it is about; null: the whole text", examples=[14]
    )
    end: int | None = Field(description="The character after the last one", examples=[22])


class ReplyHints(BaseModel):
    """The hints for a text."""

    publishable: bool = Field(description="Whether none of them is `blocking`")
    hints: list[ReplyHint] = Field(description="Blocking ones first")


class StoredHint(BaseModel):
    """A hint that a text had when it was submitted."""

    code: HintCode
    severity: HintSeverity
    start: int | None
    end: int | None


class ReplyVersionOut(BaseModel):
    """A version of a reply's text."""

    number: int = Field(examples=[2])
    kind: ReplyKind
    text: str = Field(examples=["Здравствуйте! Ямочный ремонт начнётся в понедельник."])
    promised_at: datetime | None
    author: ActorRef
    attachment_ids: list[UUID] = Field(description="Its photos", examples=[[]])
    created_at: datetime = Field(description="When its author began it")
    saved_at: datetime = Field(description="When it was saved last")
    hints: list[StoredHint] | None = Field(
        description="What the checks found when it was submitted; null: it was not submitted"
    )


class ReplyLeaseIn(RequestBody):
    """A request for the edit lease."""

    take_over: bool = Field(
        default=False, description="Take it from another person; moderators and managers may", examples=[False]
    )


class ReplyLeaseOut(BaseModel):
    """The edit lease of an appeal's reply."""

    holder: str = Field(examples=["0193f0a4-7c11-7d0e-9d5b-3f1f5a4f2b11"])
    holder_name: str = Field(examples=["Татьяна Иванова"])
    acquired_at: datetime
    expires_at: datetime = Field(description="By the database's clock, unless it is renewed before")


class WaitingReply(BaseModel):
    """A reply on approval."""

    appeal_id: UUID
    appeal_number: int = Field(examples=[1024])
    reply: ReplyOut


class RecordedAnswerIn(RequestBody):
    """An answer that was given by phone, in person or in writing."""

    channel: AnswerChannel = Field(examples=["phone"])
    text: Annotated[NonBlankText, Field(max_length=MAX_REPLY_LENGTH)] = Field(
        description="The answer that the citizen got", examples=["Бригада выедет в понедельник."]
    )
    answered_at: BoundedDatetime = Field(
        description="When the answer was given: not before the appeal was opened or reopened, not in the future",
        examples=["2026-11-27T16:41:00+08:00"],
    )
    kind: ReplyKind = "final"
    promised_at: BoundedDatetime | None = Field(
        default=None, description="With `interim`: when the final answer will come"
    )
    outcome: AppealOutcome | None = Field(
        default=None, description="With `final`: how the matter ends with it; null: not stated"
    )


class ReplyRetryIn(RequestBody):
    """The retry of a failed reply."""

    text: Annotated[NonBlankText, Field(max_length=MAX_REPLY_LENGTH)] | None = Field(
        default=None,
        description="The whole corrected reply; unchanged when left out",
        examples=["Ямочный ремонт начнётся во вторник."],
    )


class ReplyEditIn(RequestBody):
    """The new text of a published reply."""

    text: Annotated[NonBlankText, Field(max_length=MAX_REPLY_LENGTH)] = Field(
        examples=["Ямочный ремонт начнётся во вторник."]
    )
    reason: Annotated[NonBlankText, Field(max_length=2_000)] = Field(
        description="Why it is edited; for colleagues", examples=["Подрядчик перенёс работы"]
    )
    promised_at: BoundedDatetime | None = Field(
        default=None, description="Of an interim reply: the new date that the text names; null: the date stays"
    )
    attachments: list[UUID] | None = Field(
        default=None,
        max_length=MAX_PHOTOS,
        description="All photos that the reply has after the edit, in this order; null: they stay",
    )


class ReplyWithdrawalIn(RequestBody):
    """The withdrawal of a published reply, with the reason."""

    ground: WithdrawalGround = Field(
        description="It discloses personal data, is unlawful, insults, is untrue, or is in the wrong thread",
        examples=["factual_error"],
    )
    reason: Annotated[NonBlankText, Field(max_length=2_000)] = Field(
        description="What is wrong with it; for colleagues", examples=["Назван не тот адрес"]
    )
