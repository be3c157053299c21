"""Commands of ingest to other services to erase a citizen's personal data. Each command is idempotent."""

from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

# The maximum number of subjects in one command.
MAX_SUBJECTS = 500
# Shown to staff in place of erased text.
ERASED_TEXT = "данные удалены"
# In place of a link to an erased person, with the name in it.
ERASED_LINK = f"[{ERASED_TEXT}]"
# The failure of a reply that was not sent because the citizen's data was erased.
AUTHOR_ERASED = {"code": "author_erased", "message": "Данные автора удалены: ответить ему больше нельзя."}


class EraseAuthor(BaseModel):
    """Erase the next appeals of an author whose messages have been erased."""

    model_config = ConfigDict(extra="forbid")

    author_key: str = Field(description="The author's key")
    pseudonym: str = Field(description="What replaces it; the author's messages already have it")
    until: AwareDatetime = Field(description="Appeals written until then are erased")
    threads: dict[str, str] = Field(description="Direct conversations: the key of each, and what replaces it")


class AuthorErasedSoFar(BaseModel):
    """The result of `EraseAuthor`: erased rows of all erased appeals by kind, and whether any appeal is left."""

    is_done: bool
    counts: dict[str, int]


class EraseQuotations(BaseModel):
    """Take over the texts of these messages of other people, from which words of an erased person, or links to the
    person, were removed; and remove the links to erased people from our replies.
    """

    model_config = ConfigDict(extra="forbid")

    message_ids: list[UUID] = Field(max_length=MAX_SUBJECTS)
    replies: dict[UUID, list[str]] = Field(
        default_factory=dict,
        max_length=MAX_SUBJECTS,
        description="Our replies to other people, and the numbers of the erased people to whom they may link",
    )


class QuotationsErased(BaseModel):
    """The appeals of these messages."""

    appeal_ids: list[UUID]


class EraseDeliveries(BaseModel):
    """Erase the citizen's texts in the deliveries of events about these subjects."""

    model_config = ConfigDict(extra="forbid")

    subject_ids: list[UUID] = Field(max_length=MAX_SUBJECTS)


class DeliveriesErased(BaseModel):
    """The number of deliveries of events about these subjects."""

    deliveries: int


class EraseGrades(BaseModel):
    """Erase free texts that graders and organisations wrote about answers to these appeals."""

    model_config = ConfigDict(extra="forbid")

    appeal_ids: list[UUID] = Field(max_length=MAX_SUBJECTS)


class GradesErased(BaseModel):
    """The number of answers to these appeals in grading samples."""

    answers: int
