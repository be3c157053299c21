"""Classification and routing: topics, locations, reviews, incidents, alerts, assignments, versioned rules.

The topics come from `shared/topic_taxonomy`, whose versions are never edited. Existing routing rules become the
first, active rule set with the page's owner as the default; retired rules are kept in a retired set.
"""

from collections.abc import Sequence
from uuid import NAMESPACE_URL, uuid5

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from shared.topic_taxonomy import VERSION, TaxonomyEntry, entries

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

OTHERS = "gospablik_registry, gospablik_ingest, gospablik_metrics, gospablik_webhooks"
TABLES = (
    "reviews",
    "hands",
    "incidents",
    "incident_members",
    "incident_replies",
    "alerts",
    "rule_sets",
)

FIRST_RULES = """
INSERT INTO rule_sets
    (id, version, status, note, default_to, made_by, activated_by, activated_at, retired_at, created_at,
     updated_at)
VALUES
    (md5('rule-set-retired')::uuid, 1, 'retired', 'Правила, снятые до версий', 'page_owner', 'migration',
     'migration', now(), now(), now(), now()),
    (md5('rule-set-1')::uuid, 1, 'active', 'Первый набор правил', 'page_owner', 'migration', 'migration', now(),
     NULL, now(), now());
UPDATE routing_rules
SET rule_set_id = CASE WHEN active THEN md5('rule-set-1') ELSE md5('rule-set-retired') END::uuid;
"""


def _run_script(sql: str) -> None:
    # Run several statements at once with asyncpg's simple query protocol, in the same transaction.
    adapted = op.get_bind().connection.dbapi_connection
    adapted.run_async(lambda driver: driver.execute(sql))  # type: ignore[union-attr]


def _id(code: str) -> str:
    return str(uuid5(NAMESPACE_URL, f"gospablik:topic:{code}"))


def _row(position: int, found: TaxonomyEntry) -> dict[str, object]:
    return {
        "id": _id(found.code),
        "code": found.code,
        "name": found.name,
        "position": position,
        "group_id": _id(found.group) if found.group else None,
        "classifier": VERSION,
        "contains": found.contains or None,
        "not_with": found.not_with or None,
        "aliases": list(found.aliases),
        "active": True,
    }


def _seed() -> None:
    topics = sa.table(
        "topics",
        *(
            sa.column(name, kind)
            for name, kind in (
                ("id", sa.Uuid()),
                ("code", sa.Text()),
                ("name", sa.Text()),
                ("position", sa.Integer()),
                ("group_id", sa.Uuid()),
                ("classifier", sa.Text()),
                ("contains", sa.Text()),
                ("not_with", sa.Text()),
                ("aliases", postgresql.JSONB()),
                ("active", sa.Boolean()),
            )
        ),
    )
    rows = [_row(position, found) for position, found in enumerate(entries(VERSION), 1)]
    groups = [row for row in rows if row["group_id"] is None]
    bind = op.get_bind()
    for row in groups:
        bind.execute(
            topics.update()
            .where(topics.c.code == row["code"])
            .values({key: row[key] for key in ("contains", "not_with", "aliases")})
        )
    op.bulk_insert(topics, [row for row in rows if row["group_id"] is not None])


def upgrade() -> None:
    op.create_table(
        "incidents",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("topic_id", sa.Uuid(), nullable=True),
        sa.Column("fault", sa.Text(), nullable=True),
        sa.Column("municipality", sa.Text(), nullable=True),
        sa.Column("settlement", sa.Text(), nullable=True),
        sa.Column("street", sa.Text(), nullable=True),
        sa.Column("urgency", sa.Text(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=True),
        sa.Column("members", sa.Integer(), nullable=False),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("opened_by", sa.Text(), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name=op.f("fk_incidents_organisation_id")
        ),
        sa.ForeignKeyConstraint(["topic_id"], ["topics.id"], name=op.f("fk_incidents_topic_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incidents")),
        sa.UniqueConstraint("number", name=op.f("uq_incidents_number")),
    )
    op.create_index(
        "ix_incidents_open",
        "incidents",
        ["municipality", "last_at"],
        unique=False,
        postgresql_where=sa.text("closed_at IS NULL"),
    )
    op.create_index("ix_incidents_opened_at", "incidents", ["opened_at", "id"], unique=False)
    op.create_table(
        "rule_sets",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("default_to", sa.Text(), nullable=False),
        sa.Column("default_organisation_id", sa.Uuid(), nullable=True),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("activated_by", sa.Text(), nullable=True),
        sa.Column("activated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["default_organisation_id"], ["organisations.id"], name=op.f("fk_rule_sets_default_organisation_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rule_sets")),
        sa.UniqueConstraint("number", name=op.f("uq_rule_sets_number")),
    )
    op.create_index(
        "uq_rule_sets_active", "rule_sets", ["status"], unique=True, postgresql_where=sa.text("status = 'active'")
    )
    op.create_table(
        "incident_replies",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("incident_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("promised_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["incident_id"], ["incidents.id"], name=op.f("fk_incident_replies_incident_id")),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name=op.f("fk_incident_replies_organisation_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incident_replies")),
    )
    op.create_index(
        "ix_incident_replies_incident_id", "incident_replies", ["incident_id", "created_at"], unique=False
    )
    op.create_table(
        "alerts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("appeal_id", sa.Uuid(), nullable=True),
        sa.Column("incident_id", sa.Uuid(), nullable=True),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("seen_by", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["appeal_id"], ["appeals.id"], name=op.f("fk_alerts_appeal_id")),
        sa.ForeignKeyConstraint(["incident_id"], ["incidents.id"], name=op.f("fk_alerts_incident_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alerts")),
        sa.UniqueConstraint("kind", "appeal_id", name=op.f("uq_alerts_kind_appeal_id")),
        sa.UniqueConstraint("kind", "incident_id", name=op.f("uq_alerts_kind_incident_id")),
    )
    op.create_index("ix_alerts_created_at", "alerts", ["created_at", "id"], unique=False)
    op.create_table(
        "hands",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("appeal_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("from_organisation_id", sa.Uuid(), nullable=True),
        sa.Column("to_organisation_id", sa.Uuid(), nullable=True),
        sa.Column("rule_id", sa.Uuid(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["appeal_id"], ["appeals.id"], name=op.f("fk_hands_appeal_id")),
        sa.ForeignKeyConstraint(
            ["from_organisation_id"], ["organisations.id"], name=op.f("fk_hands_from_organisation_id")
        ),
        sa.ForeignKeyConstraint(
            ["to_organisation_id"], ["organisations.id"], name=op.f("fk_hands_to_organisation_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hands")),
    )
    op.create_index("ix_hands_appeal_id", "hands", ["appeal_id", "at", "id"], unique=False)
    op.create_table(
        "incident_members",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("incident_id", sa.Uuid(), nullable=False),
        sa.Column("appeal_id", sa.Uuid(), nullable=False),
        sa.Column("likeness", sa.Double(), nullable=True),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("joined_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("joined_by", sa.Text(), nullable=False),
        sa.Column("left_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("left_by", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["appeal_id"], ["appeals.id"], name=op.f("fk_incident_members_appeal_id")),
        sa.ForeignKeyConstraint(["incident_id"], ["incidents.id"], name=op.f("fk_incident_members_incident_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incident_members")),
    )
    op.create_index(
        "ix_incident_members_incident_id", "incident_members", ["incident_id", "joined_at", "id"], unique=False
    )
    op.create_index(
        "uq_incident_members_present",
        "incident_members",
        ["appeal_id"],
        unique=True,
        postgresql_where=sa.text("left_at IS NULL"),
    )
    op.create_table(
        "reviews",
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("judged_by", sa.Text(), nullable=False),
        sa.Column("judged", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("decided", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("group_id", sa.Uuid(), nullable=True),
        sa.Column("organisation_id", sa.Uuid(), nullable=True),
        sa.Column("agrees_need", sa.Boolean(), nullable=True),
        sa.Column("agrees_group", sa.Boolean(), nullable=True),
        sa.Column("agrees_topic", sa.Boolean(), nullable=True),
        sa.Column("agrees_place", sa.Boolean(), nullable=True),
        sa.Column("agrees_urgency", sa.Boolean(), nullable=True),
        sa.Column("agrees_owner", sa.Boolean(), nullable=True),
        sa.Column("reviewed_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["topics.id"], name=op.f("fk_reviews_group_id")),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"], name=op.f("fk_reviews_message_id")),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name=op.f("fk_reviews_organisation_id")
        ),
        sa.PrimaryKeyConstraint("message_id", name=op.f("pk_reviews")),
    )
    op.create_index("ix_reviews_created_at", "reviews", ["created_at", "message_id"], unique=False)
    op.add_column("appeals", sa.Column("municipality", sa.Text(), nullable=True))
    op.add_column("appeals", sa.Column("settlement", sa.Text(), nullable=True))
    op.add_column("appeals", sa.Column("street", sa.Text(), nullable=True))
    op.add_column("appeals", sa.Column("house", sa.Text(), nullable=True))
    op.add_column("appeals", sa.Column("fault", sa.Text(), nullable=True))
    op.add_column("appeals", sa.Column("language", sa.Text(), nullable=True))
    # A new nullable column does not check the existing rows if it is added together with its foreign key.
    op.execute("ALTER TABLE appeals ADD incident_id uuid CONSTRAINT fk_appeals_incident_id REFERENCES incidents")
    op.add_column("appeals", sa.Column("handovers", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.add_column("appeals", sa.Column("returns", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.execute(
        "ALTER TABLE replies ADD incident_reply_id uuid"
        " CONSTRAINT fk_replies_incident_reply_id REFERENCES incident_replies"
    )
    op.add_column("routing_rules", sa.Column("rule_set_id", sa.Uuid(), nullable=True))
    op.add_column("routing_rules", sa.Column("settlement", sa.Text(), nullable=True))
    op.add_column("routing_rules", sa.Column("page_owner_id", sa.Uuid(), nullable=True))
    op.add_column("routing_rules", sa.Column("urgency", sa.Text(), nullable=True))
    op.add_column(
        "routing_rules", sa.Column("send_to", sa.Text(), server_default=sa.text("'organisation'"), nullable=False)
    )
    op.alter_column("routing_rules", "organisation_id", existing_type=sa.UUID(), nullable=True)
    op.create_index(
        "ix_routing_rules_rule_set_id", "routing_rules", ["rule_set_id", "created_at", "id"], unique=False
    )
    op.create_foreign_key(
        op.f("fk_routing_rules_page_owner_id"), "routing_rules", "organisations", ["page_owner_id"], ["id"]
    )
    op.create_foreign_key(
        op.f("fk_routing_rules_rule_set_id"), "routing_rules", "rule_sets", ["rule_set_id"], ["id"]
    )
    _run_script(FIRST_RULES)
    op.alter_column("routing_rules", "rule_set_id", nullable=False)
    op.drop_column("routing_rules", "version")
    op.drop_column("routing_rules", "active")
    op.add_column("topics", sa.Column("group_id", sa.Uuid(), nullable=True))
    op.add_column("topics", sa.Column("classifier", sa.Text(), server_default=sa.text("'2026-1'"), nullable=False))
    op.add_column("topics", sa.Column("contains", sa.Text(), nullable=True))
    op.add_column("topics", sa.Column("not_with", sa.Text(), nullable=True))
    op.add_column(
        "topics",
        sa.Column(
            "aliases", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'"), nullable=False
        ),
    )
    op.add_column("topics", sa.Column("owner_kind", sa.Text(), nullable=True))
    op.create_index("ix_topics_group_id", "topics", ["group_id", "position"], unique=False)
    op.create_foreign_key(op.f("fk_topics_group_id"), "topics", "topics", ["group_id"], ["id"])
    op.drop_column("topics", "words")
    op.add_column("triage", sa.Column("topic_confidence", sa.Double(), nullable=True))
    op.add_column(
        "triage",
        sa.Column("top3", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'"), nullable=False),
    )
    op.add_column("triage", sa.Column("municipality", sa.Text(), nullable=True))
    op.add_column("triage", sa.Column("settlement", sa.Text(), nullable=True))
    op.add_column("triage", sa.Column("street", sa.Text(), nullable=True))
    op.add_column("triage", sa.Column("house", sa.Text(), nullable=True))
    op.add_column("triage", sa.Column("place_from", sa.Text(), nullable=True))
    op.add_column("triage", sa.Column("language", sa.Text(), server_default=sa.text("'ru'"), nullable=False))
    op.add_column("triage", sa.Column("fault", sa.Text(), nullable=True))
    _seed()
    for table in TABLES:
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO gospablik_appeals")
        op.execute(f"GRANT SELECT ON {table} TO {OTHERS}")


def downgrade() -> None:
    # Remove what only this version can store: groups replace their topics; rules without an organisation and rules
    # of other sets than the active one are deleted.
    for table in ("appeals", "triage", "routing_rules"):
        op.execute(
            f"UPDATE {table} SET topic_id = topics.group_id FROM topics"
            " WHERE topics.id = topic_id AND topics.group_id IS NOT NULL"
        )
    op.execute(
        "DELETE FROM routing_rules WHERE organisation_id IS NULL"
        " OR rule_set_id NOT IN (SELECT id FROM rule_sets WHERE status = 'active')"
    )
    op.execute("UPDATE appeals SET incident_id = NULL")
    op.execute("UPDATE replies SET incident_reply_id = NULL")

    op.drop_column("triage", "fault")
    op.drop_column("triage", "language")
    op.drop_column("triage", "place_from")
    op.drop_column("triage", "house")
    op.drop_column("triage", "street")
    op.drop_column("triage", "settlement")
    op.drop_column("triage", "municipality")
    op.drop_column("triage", "top3")
    op.drop_column("triage", "topic_confidence")
    op.add_column(
        "topics",
        sa.Column(
            "words", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'"), nullable=False
        ),
    )
    op.execute("DELETE FROM reviews")
    op.execute("DELETE FROM incident_replies")
    op.execute("DELETE FROM incident_members")
    op.execute("DELETE FROM alerts")
    op.execute("DELETE FROM incidents")
    op.execute("DELETE FROM topics WHERE group_id IS NOT NULL")
    op.drop_constraint(op.f("fk_topics_group_id"), "topics", type_="foreignkey")
    op.drop_index("ix_topics_group_id", table_name="topics")
    op.drop_column("topics", "owner_kind")
    op.drop_column("topics", "aliases")
    op.drop_column("topics", "not_with")
    op.drop_column("topics", "contains")
    op.drop_column("topics", "classifier")
    op.drop_column("topics", "group_id")
    op.add_column("routing_rules", sa.Column("active", sa.Boolean(), server_default=sa.true(), nullable=False))
    op.add_column("routing_rules", sa.Column("version", sa.Integer(), server_default="1", nullable=False))
    op.drop_constraint(op.f("fk_routing_rules_rule_set_id"), "routing_rules", type_="foreignkey")
    op.drop_constraint(op.f("fk_routing_rules_page_owner_id"), "routing_rules", type_="foreignkey")
    op.drop_index("ix_routing_rules_rule_set_id", table_name="routing_rules")
    op.alter_column("routing_rules", "organisation_id", existing_type=sa.UUID(), nullable=False)
    op.drop_column("routing_rules", "send_to")
    op.drop_column("routing_rules", "urgency")
    op.drop_column("routing_rules", "page_owner_id")
    op.drop_column("routing_rules", "settlement")
    op.drop_column("routing_rules", "rule_set_id")
    op.drop_constraint(op.f("fk_replies_incident_reply_id"), "replies", type_="foreignkey")
    op.drop_column("replies", "incident_reply_id")
    op.drop_constraint(op.f("fk_appeals_incident_id"), "appeals", type_="foreignkey")
    op.drop_column("appeals", "returns")
    op.drop_column("appeals", "handovers")
    op.drop_column("appeals", "incident_id")
    op.drop_column("appeals", "language")
    op.drop_column("appeals", "fault")
    op.drop_column("appeals", "house")
    op.drop_column("appeals", "street")
    op.drop_column("appeals", "settlement")
    op.drop_column("appeals", "municipality")
    op.drop_index("ix_reviews_created_at", table_name="reviews")
    op.drop_table("reviews")
    op.drop_index(
        "uq_incident_members_present", table_name="incident_members", postgresql_where=sa.text("left_at IS NULL")
    )
    op.drop_index("ix_incident_members_incident_id", table_name="incident_members")
    op.drop_table("incident_members")
    op.drop_index("ix_hands_appeal_id", table_name="hands")
    op.drop_table("hands")
    op.drop_index("ix_alerts_created_at", table_name="alerts")
    op.drop_table("alerts")
    op.drop_index("ix_incident_replies_incident_id", table_name="incident_replies")
    op.drop_table("incident_replies")
    op.drop_index("uq_rule_sets_active", table_name="rule_sets", postgresql_where=sa.text("status = 'active'"))
    op.drop_table("rule_sets")
    op.drop_index("ix_incidents_opened_at", table_name="incidents")
    op.drop_index("ix_incidents_open", table_name="incidents", postgresql_where=sa.text("closed_at IS NULL"))
    op.drop_table("incidents")
