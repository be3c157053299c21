"""Tables of appeals about routing rules."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Identity, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.tables import appeals_classification, registry  # noqa: F401 — foreign keys refer to their tables
from shared.tables.base import (
    Base,
    CreatedAt,
    Id,
    UpdatedAt,
)


class RuleSet(Base):
    """A version of the routing rules: draft | active | retired. One is active; retired ones are never edited.

    `default_to` is the target of appeals that no rule matches, with the same values as `send_to` of a rule.
    """

    __tablename__ = "rule_sets"
    __table_args__ = (
        Index("uq_rule_sets_active", "status", unique=True, postgresql_where=text("status = 'active'")),
    )

    id: Mapped[Id]
    number: Mapped[int] = mapped_column(Identity(), unique=True)
    version: Mapped[int] = mapped_column(default=1)
    status: Mapped[str]
    note: Mapped[str | None]
    default_to: Mapped[str]
    default_organisation_id: Mapped[UUID | None] = mapped_column(ForeignKey("organisations.id"))
    created_by: Mapped[str]
    activated_by: Mapped[str | None]
    activated_at: Mapped[datetime | None]
    retired_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 — SQLAlchemy's own name


class RoutingRule(Base):
    """A routing rule: topic × location × page owner × urgency → organisation; null: any. The most specific rule
    wins.

    `send_to`: organisation | page_owner | moderators | municipality_administration | sphere_body |
    page_owner_founder; `organisation_id` is the target for the first. `topic_id` may be a group, which includes
    all its topics. `page_owner_sphere`: same | other than the topic's; `page_owner_kind`: a kind of organisation.
    """

    __tablename__ = "routing_rules"
    __table_args__ = (Index("ix_routing_rules_rule_set_id", "rule_set_id", "created_at", "id"),)

    id: Mapped[Id]
    rule_set_id: Mapped[UUID] = mapped_column(ForeignKey("rule_sets.id"))
    topic_id: Mapped[UUID | None] = mapped_column(ForeignKey("topics.id"))
    municipality: Mapped[str | None]
    settlement: Mapped[str | None]
    page_owner_id: Mapped[UUID | None] = mapped_column(ForeignKey("organisations.id"))
    urgency: Mapped[str | None]
    send_to: Mapped[str]
    organisation_id: Mapped[UUID | None] = mapped_column(ForeignKey("organisations.id"))
    page_owner_sphere: Mapped[str | None]
    page_owner_kind: Mapped[str | None]
    reason: Mapped[str | None]
    created_at: Mapped[CreatedAt]
