"""API models of the signs that figures may be embellished."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from pydantic import BaseModel, Field


class SignCode(StrEnum):
    """The kind of a sign."""

    LAST_MINUTE_ANSWERS = "last_minute_answers"
    IDENTICAL_ANSWERS = "identical_answers"
    SOON_REOPENED = "soon_reopened"


class EmbellishmentSign(BaseModel):
    """A conspicuous figure of an organisation: a reason for a person to look at the appeals, not a verdict."""

    code: SignCode
    organisation_id: UUID
    organisation: str = Field(examples=["Комитет по строительству"])
    sentence: str = Field(
        description="The figures, in Russian",
        examples=[
            "один и тот же текст опубликован как окончательный ответ на 5 обращений от 5 человек; "
            "всего окончательных ответов — 6"
        ],
    )
    appeal_ids: list[UUID] = Field(description="The appeals behind it")


class EmbellishmentSigns(BaseModel):
    """The signs over the appeals opened in a period, for the whole region."""

    start: datetime = Field(serialization_alias="from", examples=["2026-11-16T00:00:00+08:00"])
    end: datetime = Field(
        serialization_alias="to", description="Not included", examples=["2026-11-23T00:00:00+08:00"]
    )
    time_zone: str = Field(examples=["Asia/Irkutsk"])
    signs: list[EmbellishmentSign]
