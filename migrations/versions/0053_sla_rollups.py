"""Store SLA figures by month, and let triggers record which months have changed since."""

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
_PACKED = ("response_seconds", "delay_seconds", "open_deadlines")
# The columns from which SLA figures are computed, or by which they are grouped.
_COUNTED = (
    "status", "written_at", "opened_at", "closed_at", "first_response_at", "first_response_due_at",
    "first_response_working_seconds", "final_answer_at", "outcome", "feedback_kind", "organisation_id", "topic_id",
    "network",
)  # fmt: skip
# A statement adds one row for each month whose appeals it changes. Months that have not ended are no exception: a
# transaction that began before the end may commit after the rollup. The function runs as its owner, so a service
# that changes appeals needs no rights on the tables of rollups.
_FUNCTION = f"""
CREATE FUNCTION note_changed_sla_months() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO public.sla_rollup_changes (month)
            SELECT DISTINCT date_trunc('month', timezone('Asia/Irkutsk', opened_at))::date FROM present;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO public.sla_rollup_changes (month)
            SELECT DISTINCT date_trunc('month', timezone('Asia/Irkutsk', opened_at))::date FROM former;
    ELSIF TG_OP = 'UPDATE' THEN
        INSERT INTO public.sla_rollup_changes (month)
            SELECT DISTINCT date_trunc('month', timezone('Asia/Irkutsk', opened.at))::date
            FROM former JOIN present ON present.id = former.id
                CROSS JOIN LATERAL (VALUES (former.opened_at), (present.opened_at)) AS opened (at)
            WHERE ({", ".join(f"former.{name}" for name in _COUNTED)})
                IS DISTINCT FROM ({", ".join(f"present.{name}" for name in _COUNTED)});
    ELSE
        DELETE FROM public.sla_rollup_months;
    END IF;
    RETURN NULL;
END $$
"""
_TRIGGERS = {
    "insert": "REFERENCING NEW TABLE AS present",
    "delete": "REFERENCING OLD TABLE AS former",
    "update": "REFERENCING OLD TABLE AS former NEW TABLE AS present",
    "truncate": "",
}


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
        sa.Column("definition", sa.Integer(), nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("month", name=op.f("pk_sla_rollup_months")),
    )
    op.create_table(
        "sla_rollup_changes",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("changed_at", moment, server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sla_rollup_changes")),
    )
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON sla_rollups, sla_rollup_months TO gospablik_metrics")
    op.execute("GRANT SELECT, DELETE ON sla_rollup_changes TO gospablik_metrics")
    op.execute(f"GRANT SELECT ON sla_rollups, sla_rollup_months, sla_rollup_changes TO {_OTHERS}")
    op.execute(_FUNCTION)
    op.execute("REVOKE ALL ON FUNCTION note_changed_sla_months() FROM PUBLIC")
    for event, tables in _TRIGGERS.items():
        op.execute(
            f"CREATE TRIGGER note_{event}_for_sla AFTER {event.upper()} ON appeals {tables}"
            " FOR EACH STATEMENT EXECUTE FUNCTION note_changed_sla_months()"
        )


def downgrade() -> None:
    op.execute("DROP FUNCTION note_changed_sla_months CASCADE")
    for table in ("sla_rollup_changes", "sla_rollup_months", "sla_rollups"):
        op.drop_table(table)
