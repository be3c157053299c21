"""Tables of appeals about staff: assignee rules, absences, watchers, internal notes, undoable decisions."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, UniqueConstraint, Uuid
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from shared.tables import appeals  # noqa: F401 — foreign keys refer to their tables
from shared.tables.base import Base, CreatedAt, ExactTextColumn, Id, UpdatedAt

# How long a decision can be undone; after this time the replaced values are purged.
UNDO_MINUTES = 15


class AssigneeRule(Base):
    """The people to whom an organisation's appeals are assigned in turn.

    `topic_id` limits the rule to a topic or topic group; null: all others. `last_person_id` had the last turn;
    a change of it does not change `version`.
    """

    __tablename__ = "assignee_rules"
    __table_args__ = (UniqueConstraint("organisation_id", "topic_id", postgresql_nulls_not_distinct=True),)

    id: Mapped[Id]
    organisation_id: Mapped[UUID] = mapped_column(ForeignKey("organisations.id"))
    topic_id: Mapped[UUID | None] = mapped_column(ForeignKey("topics.id"))
    person_ids: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid))
    last_person_id: Mapped[UUID | None]
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 — SQLAlchemy's own name


class Absence(Base):
    """The days, inclusive, on which rules assign no appeals to a person, but to the substitute."""

    __tablename__ = "absences"
    __table_args__ = (
        Index("ix_absences_person_id", "person_id", "ends_on"),
        Index("ix_absences_starts_on", "starts_on", "id"),
    )

    id: Mapped[Id]
    person_id: Mapped[UUID] = mapped_column(ForeignKey("people.id"))
    starts_on: Mapped[date]
    ends_on: Mapped[date]
    substitute_id: Mapped[UUID | None] = mapped_column(ForeignKey("people.id"))
    created_by: Mapped[str]
    created_at: Mapped[CreatedAt]


class AppealWatcher(Base):
    """A person who follows an appeal. People who may no longer read it stay in the table but are not shown."""

    __tablename__ = "appeal_watchers"
    __table_args__ = (Index("ix_appeal_watchers_person_id", "person_id", "appeal_id"),)

    appeal_id: Mapped[UUID] = mapped_column(ForeignKey("appeals.id"), primary_key=True)
    person_id: Mapped[UUID] = mapped_column(ForeignKey("people.id"), primary_key=True)
    added_by: Mapped[str]
    created_at: Mapped[CreatedAt]


class AppealNote(Base):
    """An internal note: never published. It belongs to the organisation that wrote it; null: the centre.

    `visibility`: organisation | everyone_on_appeal. A deleted note keeps its row and is shown without its text.
    """

    __tablename__ = "appeal_notes"
    __table_args__ = (Index("ix_appeal_notes_appeal_id", "appeal_id", "created_at", "id"),)

    id: Mapped[Id]
    appeal_id: Mapped[UUID] = mapped_column(ForeignKey("appeals.id"))
    organisation_id: Mapped[UUID | None] = mapped_column(ForeignKey("organisations.id"))
    author: Mapped[str]
    visibility: Mapped[str]
    text: Mapped[ExactTextColumn]
    mentions: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid))
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[CreatedAt]
    edited_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 — SQLAlchemy's own name


class AppealPresence(Base):
    """A person who has the page of an appeal open, until `expires_at` by the database's clock.

    No foreign key: a heartbeat must not wait for a change of the appeal. `expires_at` has no index and pages
    have free space, so that heartbeats update rows in place (HOT); the purge scans a small table.
    """

    __tablename__ = "appeal_presence"
    __table_args__ = {"postgresql_with": {"fillfactor": 50}}  # noqa: RUF012 — SQLAlchemy's own name

    appeal_id: Mapped[UUID] = mapped_column(primary_key=True)
    actor_id: Mapped[UUID] = mapped_column(primary_key=True)
    since: Mapped[datetime]
    expires_at: Mapped[datetime]


class UndoableDecision(Base):
    """The last decision of a person about an appeal, and the replaced values, while it can be undone.

    `version` is the appeal's version after the decision: another version means a later change. `former`: the
    appeal before. `message_id`: the message that the decision was about, with its former `classification` and
    `review`; if `review` is null, the decision created the review. `assignment_ids`: the assignments that it made.
    """

    __tablename__ = "undoable_decisions"
    __table_args__ = (Index("ix_undoable_decisions_decided_at", "decided_at"),)

    appeal_id: Mapped[UUID] = mapped_column(ForeignKey("appeals.id"), primary_key=True)
    version: Mapped[int]
    decided_by: Mapped[str]
    decided_at: Mapped[datetime]
    former: Mapped[dict[str, Any]]
    message_id: Mapped[UUID | None] = mapped_column(ForeignKey("messages.id"))
    classification: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    review: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    assignment_ids: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid))
