"""Tables of appeals about classification: topics, classifications, reviews."""

from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.tables import ingest, registry  # noqa: F401 — foreign keys refer to their tables
from shared.tables.base import (
    Base,
    CreatedAt,
    Id,
    UpdatedAt,
)

# An automatic classifier is named `rule:…` or `model:…`; a person is stored by id.
CLASSIFIED_BY_PERSON = "classified_by !~ '^(rule|model):'"


class Topic(Base):
    """An entry of the topic taxonomy: a group («группа тем») if `group_id` is null, else a topic («тема»).

    `taxonomy_version` is the version of the taxonomy that added it. `includes` describes what belongs to it
    («должна содержать»), `excludes` which similar topics do not («не путать с»); `aliases` are former names and
    common words.
    """

    __tablename__ = "topics"
    __table_args__ = (Index("ix_topics_group_id", "group_id", "position"),)

    id: Mapped[Id]
    code: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    position: Mapped[int]
    group_id: Mapped[UUID | None] = mapped_column(ForeignKey("topics.id"))
    taxonomy_version: Mapped[str]
    includes: Mapped[str | None]
    excludes: Mapped[str | None]
    aliases: Mapped[list[str]]
    active: Mapped[bool] = mapped_column(default=True)


class Classification(Base):
    """The classification of a message by a model, a rule or a person, with reasons."""

    __tablename__ = "classifications"
    __table_args__ = (
        # Newest first: all classifications, or those with one value of a column; rare values have a partial index.
        Index("ix_classifications_created_at", "created_at", "message_id"),
        Index("ix_classifications_needs_answer_created_at", "needs_answer", "created_at", "message_id"),
        Index("ix_classifications_classified_by_created_at", "classified_by", "created_at", "message_id"),
        Index(
            "ix_classifications_by_person", "created_at", "message_id", postgresql_where=text(CLASSIFIED_BY_PERSON)
        ),
        Index(
            "ix_classifications_topic_id_created_at",
            "topic_id",
            "created_at",
            "message_id",
            postgresql_where=text("topic_id IS NOT NULL"),
        ),
        Index("ix_classifications_urgent", "created_at", "message_id", postgresql_where=text("urgency = 'high'")),
        Index(
            "ix_classifications_language",
            "language",
            "created_at",
            "message_id",
            postgresql_where=text("language <> 'ru'"),
        ),
    )

    message_id: Mapped[UUID] = mapped_column(ForeignKey("messages.id"), primary_key=True)
    needs_answer: Mapped[str]
    type: Mapped[str]
    urgency: Mapped[str]
    topic_id: Mapped[UUID | None] = mapped_column(ForeignKey("topics.id"))
    needs_answer_confidence: Mapped[float]
    topic_confidence: Mapped[float | None]
    # At most three topics, best first: [{"topic_id", "confidence"}].
    top3: Mapped[list[dict[str, Any]]]
    municipality: Mapped[str | None]
    settlement: Mapped[str | None]
    street: Mapped[str | None]
    house: Mapped[str | None]
    # text | page | person: the source of the municipality.
    location_source: Mapped[str | None]
    language: Mapped[str]
    utility_failure: Mapped[str | None]
    why: Mapped[str]
    classified_by: Mapped[str]
    # The version of the classification; a person's decision refers to the version that the person saw.
    version: Mapped[int] = mapped_column(default=1, server_default=text("1"))
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


class Review(Base):
    """A person's review of a classification: confirmed or corrected. A message keeps only the last one.

    `predicted` is the model's classification, `decided` the person's; both are part of the training set.
    `agrees_*` is null if the person was not asked or the model predicted nothing. `organisation_id` is the current
    organisation of the appeal, kept by a trigger; without one it is the owner of the page.
    """

    __tablename__ = "reviews"
    __table_args__ = (
        Index("ix_reviews_created_at", "created_at", "message_id"),
        Index("ix_reviews_organisation_id", "organisation_id", "created_at", "message_id"),
    )

    message_id: Mapped[UUID] = mapped_column(ForeignKey("messages.id"), primary_key=True)
    predicted_by: Mapped[str]
    predicted: Mapped[dict[str, Any]]
    decided: Mapped[dict[str, Any]]
    topic_group_id: Mapped[UUID | None] = mapped_column(ForeignKey("topics.id"))
    organisation_id: Mapped[UUID | None] = mapped_column(ForeignKey("organisations.id"))
    agrees_needs_answer: Mapped[bool | None]
    agrees_topic_group: Mapped[bool | None]
    agrees_topic: Mapped[bool | None]
    agrees_location: Mapped[bool | None]
    agrees_urgency: Mapped[bool | None]
    agrees_organisation: Mapped[bool | None]
    reviewed_by: Mapped[str]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]
