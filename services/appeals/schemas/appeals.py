"""What crosses the wire about cases. Times are RFC 3339 with offset; texts are exactly what was written."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.appeals.classification.types import Language, MessageType
from services.appeals.lifecycle.workflow import Outcome, Status
from services.appeals.moderation.corrections import PLACE, Wishes
from services.appeals.replies.submission import MAX_LENGTH
from services.appeals.routing.engine import WaitingFor
from services.appeals.schemas.types import Line, Moment, Text

Urgency = Literal["normal", "high"]
WAITS = (
    "Whether an answer is due: `need_unclear`, `buryat` (somebody must read it), `other_region`. Whose it is: "
    "`topic_unsure`, `by_rule` (a rule says so), `unruled` (no rule takes it), `no_page`, `closed` (its owner), "
    "`returned` (it was given back)"
)
OKTMO = r"^\d{8}(\d{3})?$"
_ID = "0193f0a4-7c11-7d0e-9d5b-3f1f5a4f2b10"


class Body(BaseModel):
    """A request body: an unknown field is an error, so that a typing slip is never silently ignored."""

    model_config = ConfigDict(extra="forbid")


class Named(BaseModel):
    """Something with a name."""

    id: UUID
    name: str = Field(examples=["Комитет по строительству"])


class TopicNamed(Named):
    """A topic, or a group of the classifier, whose own `group` is null."""

    name: str = Field(examples=["Ямы на дорогах"])
    group: Named | None


class MunicipalityNamed(BaseModel):
    """A municipality."""

    oktmo: str = Field(examples=["81701000"])
    name: str = Field(examples=["Улан-Удэ"])


class Place(BaseModel):
    """Where the trouble is, as far as it is known."""

    municipality: MunicipalityNamed | None
    settlement: str | None = Field(examples=["Кабанск"])
    street: str | None = Field(examples=["улица Бабушкина"])
    house: str | None = Field(examples=["20"])


class Channel(BaseModel):
    """Where the citizen wrote."""

    network: str | None = Field(examples=["vk"])
    page_id: UUID | None
    url: str | None = Field(
        description="The message that opened the case", examples=["https://vk.com/wall-1_2?reply=3"]
    )


class Suggestion(BaseModel):
    """An organisation that may be the one to answer."""

    organisation_id: UUID = Field(description="That of `organisation`")
    organisation: Named
    confidence: float = Field(description="How likely, 0–1; together they make at most 1", examples=[0.62])
    why: str = Field(examples=["тема «Ямочный ремонт», город Улан-Удэ → Комитет по строительству"])


class RouteOut(BaseModel):
    """Why the case is on this desk."""

    reason: str = Field(examples=["Владелец страницы: Комитет по строительству"])
    rule_id: UUID | None
    confidence: float
    rule_set: int | None = Field(default=None, description="Number of the rule set that routed it")
    rule: str | None = Field(
        default=None,
        description="The rule in words; several where organisations hand on",
        examples=["тема «Ямочный ремонт», город Улан-Удэ → Комитет по строительству"],
    )
    why: str | None = Field(default=None, description="The words that told need, topic and place")
    suggestions: list[Suggestion] = Field(default=[], description="At most three, the likeliest first")
    suggested_organisation_id: UUID | None = Field(default=None, description="For a moderator to confirm")
    returned_by: UUID | None = Field(default=None, description="The organisation that gave the case back")
    return_reason: str | None = None


class ReplyFailed(BaseModel):
    """The reply that failed last."""

    reply_id: UUID = Field(description="`POST /appeals/{id}/replies/{reply_id}/retry` tries it again")
    code: str | None = Field(examples=["vk:15"])
    message: str | None = Field(examples=["Сеть не дала доступа."])
    at: datetime


class AppealSummary(BaseModel):
    """A case as lists show it."""

    id: UUID = Field(examples=[_ID])
    number: int = Field(examples=[1024])
    version: int = Field(description="Send as `If-Match` to change the case")
    status: Status
    waiting_for: WaitingFor | None = Field(description=f"In `triage`: why a moderator decides. {WAITS}")
    urgency: Urgency
    outcome: Outcome | None
    organisation: Named | None
    topic: TopicNamed | None
    place: Place | None
    language: Language | None
    fault: str | None = Field(description="What is out, when that is the matter", examples=["power"])
    incident_id: UUID | None = Field(description="The incident that the case is a voice of")
    handovers: int = Field(description="How often it went from one organisation to another")
    returns: int = Field(description="How often an organisation gave it back")
    channel: Channel
    text: str = Field(
        description="The words that opened the case. In lists personal data is masked in them, and with `q` they "
        "are cut to what stands around it",
        examples=["Когда починят дорогу на ул. Бабушкина?"],
    )
    written_at: datetime = Field(description="The network's time")
    opened_at: datetime = Field(description="When the message was received")
    first_response_due_at: datetime | None
    first_response_at: datetime | None
    first_response_working_seconds: int | None = Field(description="Working time until the first public answer")
    next_response_due_at: datetime | None = Field(
        description="Deadline of the answer to a message after the first answer"
    )
    resolution_due_at: datetime | None
    promised_at: datetime | None = Field(description="Promised by the last interim answer")
    closed_at: datetime | None
    overdue: bool = Field(description="An answer is awaited and late")
    reply_failed: ReplyFailed | None = Field(
        description="The last reply failed; null again when one is queued, tried again or published"
    )
    route: RouteOut
    allowed_moves: list[Status] = Field(description="Where you may move the case")


class Likely(BaseModel):
    """A topic that a message may be about."""

    topic: TopicNamed
    confidence: float = Field(description="A probability", examples=[0.62])


class TriageOut(BaseModel):
    """What was judged of a message, and why."""

    needs_answer: Literal["yes", "no", "unsure"]
    type: MessageType
    urgency: Urgency
    topic_id: UUID | None
    topic: TopicNamed | None
    confidence: float = Field(description="Of the need; a person is certain")
    topic_confidence: float | None
    top3: list[Likely] = Field(description="At most three topics, the likeliest first")
    place: Place | None
    place_from: Literal["text", "page", "person"] | None = Field(description="What told the municipality")
    language: Language
    fault: str | None = Field(description="What is out, when that is the matter", examples=["power"])
    why: str = Field(examples=["Вопрос: «?»; тема: «дорогу»"])
    judged_by: str = Field(description="The rule, or the id of the person")
    version: int = Field(description="Send as `If-Match` to decide about the message")


class MessageOut(BaseModel):
    """A citizen's message of the case."""

    id: UUID
    kind: Literal["comment", "wall_post", "message"]
    external_id: str
    text: str
    attachments: list[Any]
    url: str
    written_at: datetime
    received_at: datetime
    edited_at: datetime | None
    deleted_at: datetime | None
    deleted_by: str | None
    triage: TriageOut | None


class JudgedOut(BaseModel):
    """A message with what was judged of it, as lists show it."""

    message_id: UUID = Field(description="`POST /messages/{id}/triage` confirms or corrects", examples=[_ID])
    network: str = Field(examples=["vk"])
    kind: Literal["comment", "wall_post", "message"]
    page_id: UUID
    organisation: Named = Field(description="Whose page it is")
    url: str = Field(examples=["https://vk.com/wall-1_2?reply=3"])
    text: str = Field(
        description="Personal data is masked, also in `triage.why`", examples=["Спасибо большое, [имя]!"]
    )
    written_at: datetime
    received_at: datetime
    deleted_at: datetime | None
    appeal_id: UUID | None = Field(description="The case that holds it")
    triage: TriageOut
    judged_at: datetime = Field(description="When it was judged first; the list is ordered by it")
    updated_at: datetime


class UnderstandingOut(BaseModel):
    """What judges messages."""

    understanding: Literal["model", "rule"] = Field(description="`GOSPABLIK_UNDERSTANDING`")
    judged_by: str = Field(
        description="The name that its judgements hold", examples=["model:builtin-35de05f7+topics-3"]
    )
    built_in: dict[str, Any] | None = Field(
        description="Data card of the model that comes with the house; null with `rule`",
        examples=[{"name": "builtin", "examples": {"rows": 8222}, "thresholds": {"need": 0.37}}],
    )
    taught: dict[str, Any] | None = Field(
        description="Data card of the version in force in `GOSPABLIK_TOPICS_MODEL`, if one is set",
        examples=[{"version": 3, "data": {"rows": 12000}}],
    )
    foreign_labels: str | None = Field(
        description="Which labels of the taught model name no class, and are left to the built-in one"
    )


class ReplyOut(BaseModel):
    """An answer and how far it has come."""

    id: UUID
    origin: Literal["gospablik", "network"] = Field(description="`network`: staff wrote it by hand there")
    kind: Literal["final", "interim"]
    text: str
    status: Literal["draft", "on_approval", "queued", "sending", "uncertain", "published", "failed"]
    author: str
    promised_at: datetime | None
    in_reply_to: UUID | None = Field(
        description="The citizen's message that it answers, chosen when the reply is made; null for one by hand "
        "to nobody in particular"
    )
    publication_id: UUID | None
    url: str | None
    published_at: datetime | None
    failure: dict[str, Any] | None = Field(
        examples=[
            {"code": "15", "message": "Access denied", "at": "2026-03-02T10:00:00+08:00", "will_retry": False}
        ]
    )
    created_at: datetime


class HandOut(BaseModel):
    """One step of the case from hand to hand; null is the centre."""

    at: datetime
    kind: Literal["routed", "assigned", "returned", "transferred", "rerouted"]
    from_organisation: Named | None
    to_organisation: Named | None
    rule_id: UUID | None
    reason: str | None = Field(examples=["Дорога республиканская, не наша"])
    actor: str


class TimelineOut(BaseModel):
    """One step of the case."""

    at: datetime
    kind: str = Field(examples=["opened"])
    actor: str
    data: dict[str, Any]


class AppealOut(AppealSummary):
    """A case with everything that belongs to it."""

    deadline: dict[str, Any] | None = Field(
        description="How the deadlines were computed; `text` says it in words",
        examples=[
            {
                "text": "9 рабочих часов с пятницы 27.11 16:40: 27.11 — 1 ч 20 мин; 28.11 — не идёт; "
                "29.11 — не идёт; 30.11 — 7 ч 40 мин → понедельник 30.11 17:40"
            }
        ],
    )
    messages: list[MessageOut]
    replies: list[ReplyOut]
    hands: list[HandOut] = Field(description="Through which organisations it went, oldest first")
    timeline: list[TimelineOut]


class PlaceIn(Body):
    """A place; what is finer than a part that is named, and is not named itself, is unknown then."""

    municipality: str | None = Field(default=None, pattern=OKTMO, description="OKTMO", examples=["81701000"])
    settlement: Line | None = Field(default=None, examples=["Кабанск"])
    street: Line | None = Field(default=None, examples=["улица Бабушкина"])
    house: Line | None = Field(default=None, examples=["20"])

    def place(self) -> dict[str, str]:
        """The parts that are named."""
        return {part: value for part in PLACE if (value := getattr(self, part)) is not None}


class AppealIn(PlaceIn):
    """Open a case by hand: from a stored message, or from words that came another way."""

    message_id: UUID | None = None
    text: Annotated[Text, Field(max_length=20_000)] | None = Field(
        default=None, examples=["По телефону: на ул. Гагарина не горят фонари"]
    )
    organisation_id: UUID | None = None
    topic_id: UUID | None = None
    urgency: Urgency | None = None
    url: Annotated[Line, Field(pattern=r"^https?://")] | None = None

    def wishes(self) -> Wishes:
        """What the person says of the case."""
        return Wishes(self.organisation_id, self.topic_id, self.urgency, place=self.place())


class MoveIn(Body):
    """Where to, and what the move must carry."""

    to: Status = Field(examples=["assigned"])
    organisation_id: UUID | None = Field(
        default=None,
        description="With `assigned`: the new owner. Staff give a reason, and name none that has had the case",
    )
    reason: Line | None = Field(default=None, examples=["Дорога республиканская, не наша"])
    outcome: Outcome | None = Field(default=None, description="With `closed`")


class ReplyIn(Body):
    """An answer to the citizen."""

    text: Annotated[Text, Field(max_length=MAX_LENGTH)] = Field(
        examples=["Ямочный ремонт начнётся в понедельник."]
    )
    kind: Literal["final", "interim"] = "final"
    promised_at: Moment | None = Field(default=None, description="With `interim`: when the final answer will come")
    message_id: UUID | None = Field(
        default=None,
        description="Which message to answer; by default the latest that asks. Later messages do not change it",
    )


class RetryIn(Body):
    """How a failed answer is tried again."""

    text: Annotated[Text, Field(max_length=MAX_LENGTH)] | None = Field(
        default=None,
        description="The whole answer, corrected; the same words when left out",
        examples=["Ямочный ремонт начнётся во вторник."],
    )


class Counts(BaseModel):
    """How many cases the filter leaves."""

    total: int
    by_status: dict[str, int] = Field(examples=[{"assigned": 12, "answered": 40}])
    overdue: int


class ClassIn(PlaceIn):
    """What a person says of a case. What is left out, or null, they say nothing about."""

    topic_id: UUID | None = Field(default=None, description="A topic, or a group where no topic of it fits")
    no_place: bool = Field(default=False, description="The place that was judged is wrong, and there is none")
    urgency: Urgency | None = Field(default=None, examples=["high"])
    organisation_id: UUID | None = Field(default=None, description="Who must answer")

    def wishes(self) -> Wishes:
        """What they say, for the domain."""
        return Wishes(
            self.organisation_id, self.topic_id, self.urgency, place=self.place(), no_place=self.no_place
        )


class TriageIn(ClassIn):
    """A person's decision about a message. What is left out, or null, they say nothing about."""

    needs_answer: bool = Field(examples=[True])
    confirm: bool = Field(
        default=False,
        description="What is left out is right as it was judged: with nothing else, all of it",
        examples=[False],
    )
    type: MessageType | None = Field(default=None, examples=["complaint"])

    def wishes(self) -> Wishes:
        """What they say besides the need, for the domain."""
        return replace(super().wishes(), type=self.type, confirms=self.confirm)


class Agreement(BaseModel):
    """Whether people agree with what was judged, by question; null where either said nothing about it."""

    need: bool | None
    group: bool | None
    topic: bool | None
    place: bool | None = Field(description="The municipality")
    urgency: bool | None
    owner: bool | None = Field(description="Whom the rules gave the case to, or suggested")


class OtherOwner(BaseModel):
    """Whom the rules would give the case to."""

    organisation: Named
    reason: str = Field(examples=["Правило маршрутизации по теме"])


class Decision(BaseModel):
    """What the decision led to."""

    message_id: UUID
    triage: TriageOut
    agreement: Agreement
    appeal_id: UUID | None
    appeal_number: int | None
    appeal_status: Status | None
    waiting_for: WaitingFor | None = Field(description=f"In `triage`: why it is still to be decided. {WAITS}")
    organisation: Named | None = Field(description="Who must answer")
    route: RouteOut | None
    rerouted: bool = Field(description="The corrected class or place gave the case another owner")
    suggested: OtherOwner | None = Field(
        description="Another owner by the rules, where the case stays with who has begun or was chosen by a person"
    )


class Verdict(BaseModel):
    """What was judged of a message, or decided by people; null where nothing was said."""

    needs_answer: Literal["yes", "no", "unsure"] | None
    type: MessageType | None
    topic: TopicNamed | None
    place: Place | None
    urgency: Urgency | None
    organisation_id: UUID | None


class ReviewOut(BaseModel):
    """A message that a person reviewed."""

    message_id: UUID
    judged_by: str = Field(description="The rule or model; `nobody` where a person was the first")
    judged: Verdict
    decided: Verdict
    agreement: Agreement
    organisation_id: UUID | None = Field(description="Whose case it is, else whose page")
    reviewed_by: str = Field(description="The last who reviewed it")
    created_at: datetime = Field(description="When it was reviewed first")
    updated_at: datetime


class TopicOut(BaseModel):
    """A group of the classifier, or a topic of one."""

    id: UUID
    code: str = Field(examples=["roads"])
    name: str = Field(examples=["Дороги"])
    position: int
    level: Literal["group", "topic"]
    group: Named | None = Field(description="Of a topic")


class TopicDetails(TopicOut):
    """What a class means."""

    classifier: str = Field(description="The version that brought it", examples=["2026-1"])
    active: bool = Field(description="Whether messages are still judged by it")
    contains: str | None = Field(description="What belongs to it", examples=["ямы и выбоины на проезжей части"])
    not_with: str | None = Field(description="Neighbours that it is not", examples=["Тротуары — пешеходная часть"])
    aliases: list[str] = Field(description="Old names and the words people use", examples=[["ямы", "выбоины"]])


class PolicyIn(Body):
    """A new SLA policy; the one before stays for the cases opened before `valid_from`."""

    name: Line = Field(examples=["Обычное обращение: 8 рабочих часов"])
    urgency: Urgency
    first_response_hours: float = Field(
        gt=0, le=720, allow_inf_nan=False, description="Working hours", examples=[8]
    )
    resolution_hours: float = Field(
        gt=0, le=2_000, allow_inf_nan=False, description="Working hours", examples=[56]
    )
    starts_from: Literal["received", "written", "assigned"] = "received"
    valid_from: Moment | None = Field(default=None, description="Now by default; never in the past")


class PolicyOut(BaseModel):
    """An SLA policy."""

    id: UUID
    name: str
    urgency: Urgency
    first_response_hours: float
    resolution_hours: float
    starts_from: Literal["received", "written", "assigned"]
    valid_from: datetime
