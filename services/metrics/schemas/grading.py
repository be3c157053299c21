"""API models of grading answers: rubric, sample, grades, objections."""

from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator
from typing_extensions import TypeAliasType

from services.metrics.schemas.axes import Axis
from shared.contracts.values import ReplyKind

_CODE = r"^[a-z][a-z_]{1,39}$"
_SCORES = {"question": 2, "action_or_date": 1, "own_words": 2}
_MEANS = {"question": 1.5, "action_or_date": 1, "own_words": 2}
_WEEK = "2026-W47"
_QUESTION = "Когда починят фонари на улице Бабушкина?"
_ANSWER = "Здравствуйте! Бригада заменит лампы до 27 ноября. Телефон отдела: [телефон]."
_COMMENT = "Дата названа, ответственного нет"
_GROUND = "Контакт есть в последней строке ответа"
_REASON = "Контакт действительно назван"
_SCALE = 3

Score = TypeAliasType("Score", Literal[0, 1, 2])
ObjectionStatus = TypeAliasType("ObjectionStatus", Literal["open", "upheld", "rejected"])


def _storable(value: str) -> str:
    if "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError("The text contains a character that cannot be stored")
    if not value.strip():
        raise ValueError("The text is empty")
    return value


FreeText = Annotated[str, StringConstraints(max_length=2_000), AfterValidator(_storable)]


class _RequestBody(BaseModel):
    """A request body. Unknown fields are an error, so that a typo is not ignored."""

    model_config = ConfigDict(extra="forbid")


class Criterion(_RequestBody):
    """A criterion of the rubric. A criterion that is not graded is computed, or comes from the citizen's
    feedback.
    """

    code: str = Field(pattern=_CODE, examples=["question"])
    title: FreeText = Field(examples=["Ответ по существу вопроса"])
    explanation: FreeText = Field(examples=["Гражданин узнаёт из ответа то, о чём спросил"])
    scale: list[FreeText] = Field(
        description="What 0, 1 and 2 mean; empty for a criterion that is not graded",
        examples=[["Ответа на вопрос нет", "Ответ на часть вопросов", "Ответ на все вопросы"]],
    )
    axes: list[Axis] = Field(description="The axes that it counts for: none, one or two")
    kinds: list[ReplyKind] = Field(min_length=1, description="The kinds of replies to which it applies")
    graded: bool = Field(description="Whether people grade it", examples=[True])
    hints: list[Annotated[str, StringConstraints(pattern=_CODE)]] = Field(
        description="Codes of the hints that should find the same fault", examples=[["off_topic"]]
    )

    @model_validator(mode="after")
    def _check_scale(self) -> Self:
        if len(self.scale) != (_SCALE if self.graded else 0):
            raise ValueError("A graded criterion needs three texts in its scale, any other criterion none")
        return self


_CRITERION = {
    "code": "question",
    "title": "Ответ по существу вопроса",
    "explanation": "Гражданин узнаёт из ответа то, о чём спросил",
    "scale": ["Ответа на вопрос нет", "Ответ на часть вопросов", "Ответ на все вопросы"],
    "axes": ["objectivity", "completeness"],
    "kinds": ["final", "interim"],
    "graded": True,
    "hints": ["off_topic"],
}


class RubricIn(_RequestBody):
    """The next version of the rubric: all its criteria, in their order."""

    criteria: list[Criterion] = Field(min_length=1, max_length=30, examples=[[_CRITERION]])

    @model_validator(mode="after")
    def _check_codes(self) -> Self:
        codes = [criterion.code for criterion in self.criteria]
        if len(codes) != len(set(codes)):
            raise ValueError("Two criteria have the same code")
        for kind in ("final", "interim"):
            if not any(criterion.graded and kind in criterion.kinds for criterion in self.criteria):
                raise ValueError(f"No criterion is graded in replies of the kind «{kind}»")
        return self


class RubricOut(BaseModel):
    """A version of the rubric, which never changes. New samples use the newest version."""

    id: UUID
    version: int = Field(examples=[1])
    criteria: list[Criterion]
    created_at: datetime


class Rubrics(BaseModel):
    """All versions of the rubric, newest first."""

    items: list[RubricOut]


class SampleIn(_RequestBody):
    """The week of the sample to draw. The default size is configured, the default seed random.

    A given size or seed requires the right `rules:manage`.
    """

    week: str = Field(pattern=r"^20\d{2}-W\d{2}$", description="ISO week, in the region", examples=[_WEEK])
    size: int | None = Field(default=None, ge=1, le=2_000, examples=[100])
    seed: Annotated[str, StringConstraints(min_length=1, max_length=100), AfterValidator(_storable)] | None = (
        Field(
            default=None,
            description="The same seed and the same replies give the same sample",
            examples=["c0ffee"],
        )
    )


class SampleOut(BaseModel):
    """The sample of a week, and how many of its answers are graded."""

    id: UUID
    week: str = Field(examples=[_WEEK])
    rubric_version: int = Field(examples=[1])
    seed: str = Field(examples=["c0ffee"])
    size: int = Field(description="How many were wanted", examples=[100])
    second_share: float = Field(description="Share of the items that two people grade", examples=[0.2])
    answers: int = Field(description="Answers published in the week", examples=[508])
    items: int = Field(description="Answers in the sample", examples=[100])
    graded: int = Field(description="Of these, graded by all who should", examples=[40])
    created_at: datetime


class ClaimIn(_RequestBody):
    """The number of answers that the caller wants to grade."""

    count: int = Field(default=10, ge=1, le=20, examples=[10])


class Claimed(BaseModel):
    """The answers newly assigned to the caller; empty if there is nothing to grade."""

    item_ids: list[UUID]
    claimed_until: datetime | None = Field(description="Grade them until then; later others may get them")


class Assignment(BaseModel):
    """An answer to grade, without its organisation and other graders' opinions.

    Personal data is masked.
    """

    item_id: UUID
    week: str = Field(examples=[_WEEK])
    kind: ReplyKind
    topic: str | None = Field(examples=["Уличное освещение"])
    question: list[str] = Field(
        description="What the citizen wrote before the answer, oldest first", examples=[[_QUESTION]]
    )
    answer: str = Field(description="As it was when the sample was drawn", examples=[_ANSWER])
    attachment_ids: list[UUID] = Field(description="Photos of the answer")
    rubric_version: int = Field(examples=[1])
    criteria: list[str] = Field(description="Codes of the criteria to grade", examples=[list(_SCORES)])
    claimed_until: datetime


class Assignments(BaseModel):
    """The answers assigned to the caller, and the rubrics for grading them."""

    items: list[Assignment]
    rubrics: list[RubricOut]


class GradeIn(_RequestBody):
    """A grade: a score for each criterion of this answer."""

    scores: dict[str, Score] = Field(examples=[_SCORES])
    comment: FreeText | None = Field(
        default=None, description="Why, without personal data; the organisation reads it", examples=[_COMMENT]
    )


class GradeOut(BaseModel):
    """The caller's grade, which is final."""

    item_id: UUID
    scores: dict[str, Score] = Field(examples=[_SCORES])
    comment: str | None = Field(examples=[_COMMENT])
    graded_at: datetime


class GradedOrganisation(BaseModel):
    """The organisation that gave the answer."""

    id: UUID
    name: str = Field(examples=["Комитет по строительству"])


class GradedItem(BaseModel):
    """An answer with complete grades. The graders are not named."""

    id: UUID
    week: str = Field(examples=[_WEEK])
    appeal_id: UUID
    reply_id: UUID
    organisation: GradedOrganisation
    kind: ReplyKind
    published_at: datetime
    graded_at: datetime
    rubric_version: int = Field(examples=[1])
    scores: dict[str, float] = Field(
        description="By criterion, 0 to 2: the mean of the grades, or the scores of an upheld objection",
        examples=[_MEANS],
    )
    objection: ObjectionStatus | None


class ItemGrade(BaseModel):
    """One of the grades of an answer. Personal data is masked in the comment."""

    scores: dict[str, Score] = Field(examples=[_SCORES])
    comment: str | None = Field(examples=[_COMMENT])


class ObjectionOut(BaseModel):
    """An objection, and the centre's decision. Personal data is masked."""

    id: UUID
    item_id: UUID
    version: int = Field(description="For `If-Match` of the decision", examples=[1])
    organisation: GradedOrganisation
    status: ObjectionStatus
    ground: str = Field(examples=[_GROUND])
    former_scores: dict[str, float] = Field(description="The scores objected to", examples=[_MEANS])
    scores: dict[str, float] | None = Field(description="If upheld: the scores that count now")
    reason: str | None = Field(description="Why the centre decided so")
    created_at: datetime
    decided_at: datetime | None


class GradedItemDetails(BaseModel):
    """A graded answer with its texts, grades and objection. Personal data is masked."""

    item: GradedItem
    question: list[str] = Field(examples=[[_QUESTION]])
    answer: str = Field(examples=[_ANSWER])
    grades: list[ItemGrade]
    objection: ObjectionOut | None
    objection_until: datetime = Field(description="Until when the organisation may object")


class ObjectionIn(_RequestBody):
    """Why the grades of an answer are wrong."""

    ground: FreeText = Field(description="Without personal data", examples=[_GROUND])


class UpholdIn(_RequestBody):
    """The scores that replace the grades, for each criterion of the answer."""

    scores: dict[str, Score] = Field(examples=[_SCORES])
    reason: FreeText = Field(examples=[_REASON])


class RejectIn(_RequestBody):
    """Why the objection is rejected."""

    reason: FreeText = Field(examples=["Назван только номер приёмной, ответственного нет"])
