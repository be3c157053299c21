"""Store SLA figures by month, and let triggers say which months have changed since."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0053"
down_revision: str | None = "0052"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_OTHERS = "gospablik_registry, gospablik_ingest, gospablik_appeals, gospablik_webhooks"
_COUNTS = (
    "opened", "answered", "on_time", "overdue", "waiting", "closed_unanswered", "final_answered", "solved",
    "disputed", "not_required", "in_triage",
)  # fmt: skip
_PACKED = ("response_seconds", "delay_seconds", "dues")
# What SLA figures count, and by what they are grouped.
_COUNTED = (
    "status", "written_at", "opened_at", "closed_at", "first_response_at", "first_response_due_at",
    "first_response_working_seconds", "final_answer_at", "outcome", "feedback_kind", "organisation_id", "topic_id",
    "network",
)  # fmt: skip
# Appeals are inserted in bulk, but change one by one. When an appeal was opened does not matter: a transaction
# that began before the end of a month may commit after the month was rolled up. The functions run as their owner:
# whoever changes an appeal needs no right of their own.
_TRIGGERS = (
    """
CREATE FUNCTION note_added_for_sla() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO public.sla_rollup_changes (opened_at) SELECT opened_at FROM added;
    RETURN NULL;
END $$
""",
    """
CREATE FUNCTION note_deleted_for_sla() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO public.sla_rollup_changes (opened_at) SELECT opened_at FROM deleted;
    RETURN NULL;
END $$
""",
    """
CREATE FUNCTION note_changed_for_sla() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO public.sla_rollup_changes (opened_at) VALUES (NEW.opened_at);
    IF OLD.opened_at <> NEW.opened_at THEN
        INSERT INTO public.sla_rollup_changes (opened_at) VALUES (OLD.opened_at);
    END IF;
    RETURN NULL;
END $$
""",
    """
CREATE TRIGGER note_added_for_sla AFTER INSERT ON appeals REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION note_added_for_sla()
""",
    """
CREATE TRIGGER note_deleted_for_sla AFTER DELETE ON appeals REFERENCING OLD TABLE AS deleted
    FOR EACH STATEMENT EXECUTE FUNCTION note_deleted_for_sla()
""",
    f"""
CREATE TRIGGER note_changed_for_sla AFTER UPDATE OF {", ".join(_COUNTED)} ON appeals
    FOR EACH ROW
    WHEN (({", ".join(f"OLD.{name}" for name in _COUNTED)})
        IS DISTINCT FROM ({", ".join(f"NEW.{name}" for name in _COUNTED)}))
    EXECUTE FUNCTION note_changed_for_sla()
""",
)


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "sla_rollups",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in _COUNTS),
        *(sa.Column(name, sa.LargeBinary(), nullable=False) for name in _PACKED),
        sa.PrimaryKeyConstraint("kind", "month", "key", name=op.f("pk_sla_rollups")),
    )
    for name in _PACKED:
        # Compressing numbers like these saves little and costs time at each rebuild.
        op.execute(f"ALTER TABLE sla_rollups ALTER COLUMN {name} SET STORAGE EXTERNAL")
    op.create_table(
        "sla_rollup_months",
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("month", name=op.f("pk_sla_rollup_months")),
    )
    op.create_table(
        "sla_rollup_changes",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("opened_at", moment, nullable=False),
        sa.Column("changed_at", moment, server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sla_rollup_changes")),
    )
    tables = "sla_rollups, sla_rollup_months, sla_rollup_changes"
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {tables} TO gospablik_metrics")
    op.execute(f"GRANT SELECT ON {tables} TO {_OTHERS}")
    for statement in _TRIGGERS:
        op.execute(statement)


def downgrade() -> None:
    for name in ("note_added_for_sla", "note_deleted_for_sla", "note_changed_for_sla"):
        op.execute(f"DROP FUNCTION {name} CASCADE")
    for table in ("sla_rollup_changes", "sla_rollup_months", "sla_rollups"):
        op.drop_table(table)
