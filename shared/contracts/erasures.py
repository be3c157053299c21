"""Commands of ingest to the other services, by which they erase a citizen's personal data. Each is idempotent."""

from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

# How many subjects of events one command names.
MAX_SUBJECTS = 500
# Shown to staff in place of what was erased.
ERASED_TEXT = "данные удалены"
# Why a reply was not sent.
AUTHOR_ERASED = {"code": "author_erased", "message": "Данные автора удалены: ответить ему больше нельзя."}


class EraseAuthor(BaseModel):
    """Erase the next appeals of an author whose messages are erased already."""

    model_config = ConfigDict(extra="forbid")

    author_key: str = Field(description="The author's key")
    pseudonym: str = Field(description="What replaces it; the author's messages have it already")
    until: AwareDatetime = Field(description="Appeals written until then are erased")
    threads: dict[str, str] = Field(description="Direct conversations: the key of each, and what replaces it")


class AuthorErasedSoFar(BaseModel):
    """What the command did: the rows of all erased appeals, by kind, and whether any appeal is left."""

    is_done: bool
    counts: dict[str, int]


class EraseDeliveries(BaseModel):
    """Erase the words in the deliveries of events about these subjects."""

    model_config = ConfigDict(extra="forbid")

    subject_ids: list[UUID] = Field(max_length=MAX_SUBJECTS)


class DeliveriesErased(BaseModel):
    """How many deliveries there are of these events."""

    deliveries: int


class EraseGrades(BaseModel):
    """Erase what people wrote about answers to these appeals."""

    model_config = ConfigDict(extra="forbid")

    appeal_ids: list[UUID] = Field(max_length=MAX_SUBJECTS)


class GradesErased(BaseModel):
    """How many answers to these appeals are in samples."""

    answers: int
