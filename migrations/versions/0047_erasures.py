"""Store erasures of citizens' personal data, and let ingest remove their words and ids from events."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from migrations.indexes import create_index_concurrently, drop_index_concurrently

revision: str = "0047"
down_revision: str | None = "0046"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

OTHERS = "gospablik_registry, gospablik_appeals, gospablik_metrics, gospablik_webhooks"
SHOWN = (
    "id, author_digest, ground, reference, status, until, pseudonym, counts, error, requested_by, created_at,"
    " started_at, finished_at, updated_at"
)

# No service may change the data of events. This function is the only exception, and a narrow one: events whose
# subject is marked as erased get the ids that the subject's row has now, and lose reasons and addresses in the
# network. Tables are named with their schema, and `pg_temp` is searched last: nobody can put another table in
# their place.
ERASE_EVENTS = """
CREATE OR REPLACE FUNCTION erase_events(subjects uuid[]) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    changed bigint;
BEGIN
    WITH erased (id, given) AS (
        SELECT m.id, jsonb_build_object(
            'thread_key', m.thread_key, 'author_key', m.author_key, 'reply_to', m.reply_to)
        FROM public.messages m WHERE m.id = ANY(subjects) AND m.erased_at IS NOT NULL
        UNION ALL
        SELECT a.id, jsonb_build_object('url', a.url, 'reply_url', NULL, 'reason', '')
        FROM public.appeals a WHERE a.id = ANY(subjects) AND a.erased_at IS NOT NULL
        UNION ALL
        SELECT p.id, jsonb_build_object('url', coalesce(p.url, ''), 'external_ids', (
            SELECT jsonb_agg(part.external_id ORDER BY part.part) FROM public.publications part
            WHERE part.reply_id = p.reply_id))
        FROM public.publications p WHERE p.id = ANY(subjects) AND p.erased_at IS NOT NULL
    ), replaced (id, data) AS (
        SELECT e.id, e.data || (
            SELECT coalesce(jsonb_object_agg(field.key, field.value), '{}') FROM jsonb_each(erased.given) field
            -- The reason of this type is one of a closed list.
            WHERE e.data ? field.key AND NOT (field.key = 'reason' AND e.type = 'appeal.extension_ended'))
        FROM erased JOIN public.events e ON e.subject_id = erased.id
    )
    UPDATE public.events e SET data = replaced.data FROM replaced
    WHERE e.id = replaced.id AND e.data <> replaced.data;
    GET DIAGNOSTICS changed = ROW_COUNT;
    RETURN changed;
END $$
"""


def upgrade() -> None:
    create_index_concurrently("ix_messages_author_key", "messages", ["author_key", "written_at"])
    create_index_concurrently("ix_publications_thread_key", "publications", ["thread_key"])
    create_index_concurrently("ix_bulk_operation_rows_appeal_id", "bulk_operation_rows", ["appeal_id"])
    op.execute("ALTER TABLE messages ADD COLUMN IF NOT EXISTS erased_at timestamptz")
    op.execute("ALTER TABLE publications ADD COLUMN IF NOT EXISTS erased_at timestamptz")
    op.execute("ALTER TABLE appeals ADD COLUMN IF NOT EXISTS erased_at timestamptz")
    op.execute(f"GRANT SELECT (erased_at) ON messages TO {OTHERS}")
    op.create_table(
        "erasures",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("author_digest", sa.Text(), nullable=False),
        sa.Column("ground", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("pseudonym", sa.Text(), nullable=False),
        sa.Column("subject", sa.LargeBinary(), nullable=True),
        sa.Column("counts", JSONB(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_erasures")),
    )
    op.create_index("ix_erasures_created_at", "erasures", ["created_at", "id"])
    op.create_index("ix_erasures_author_digest", "erasures", ["author_digest", "created_at"])
    op.create_index(
        "uq_erasures_unfinished",
        "erasures",
        ["author_digest"],
        unique=True,
        postgresql_where=sa.text("status <> 'done'"),
    )
    op.create_table(
        "erased_keys",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("erasure_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["erasure_id"], ["erasures.id"], name=op.f("fk_erased_keys_erasure_id")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_erased_keys")),
    )
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON erasures, erased_keys TO gospablik_ingest")
    op.execute(f"GRANT SELECT ({SHOWN}) ON erasures TO {OTHERS}")
    op.execute(f"GRANT SELECT (until, erasure_id) ON erased_keys TO {OTHERS}")
    # Clock events never change, but their reasons, which people write, can be erased.
    op.execute("GRANT UPDATE (reason) ON sla_clock_events TO gospablik_appeals")
    op.execute(ERASE_EVENTS)
    op.execute("REVOKE ALL ON FUNCTION erase_events(uuid[]) FROM PUBLIC")
    op.execute("GRANT EXECUTE ON FUNCTION erase_events(uuid[]) TO gospablik_ingest")


def downgrade() -> None:
    op.execute("REVOKE UPDATE (reason) ON sla_clock_events FROM gospablik_appeals")
    op.execute("DROP FUNCTION erase_events(uuid[])")
    op.drop_table("erased_keys")
    op.drop_table("erasures")
    op.drop_column("appeals", "erased_at")
    op.drop_column("publications", "erased_at")
    op.drop_column("messages", "erased_at")
    drop_index_concurrently("ix_bulk_operation_rows_appeal_id", "bulk_operation_rows")
    drop_index_concurrently("ix_publications_thread_key", "publications")
    drop_index_concurrently("ix_messages_author_key", "messages")
