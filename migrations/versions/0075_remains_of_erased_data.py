"""Find stored responses by the ids in them with an index, and erase what earlier erasures left.

Left were: the reasons of pauses in the explanations of ended clocks, the reasons of alerts about incidents without
unerased appeals, and the addresses of conversations in replies that were published during an erasure.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from migrations.indexes import create_index_concurrently, drop_index_concurrently

revision: str = "0075"
down_revision: str | None = "0074"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_SERVICES = ("appeals", "ingest", "metrics", "registry", "webhooks")
_IDS_IN_RESPONSE = """
CREATE OR REPLACE FUNCTION ids_in_response(body jsonb) RETURNS text[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN ARRAY(
    SELECT DISTINCT found[1] FROM regexp_matches(
        body::text, '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}', 'g'
    ) AS matches (found))
"""
# The longest reason first: it may contain the words of another pause.
_WITHOUT_PAUSE_REASONS = """
CREATE OR REPLACE FUNCTION pg_temp.without_pause_reasons(stored jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    words text := stored ->> 'text';
    reason text;
BEGIN
    FOR reason IN
        SELECT DISTINCT part ->> 'note', length(part ->> 'note')
        FROM jsonb_array_elements(stored -> 'segments') part
        WHERE part ->> 'why_not' = 'paused' AND part ->> 'note' <> '' ORDER BY 2 DESC
    LOOP
        words := replace(words, 'пауза (' || reason || ')', 'пауза');
    END LOOP;
    RETURN stored || jsonb_build_object('text', words, 'segments', (
        SELECT jsonb_agg(
            CASE WHEN part ->> 'why_not' = 'paused' THEN part || '{"note": null}' ELSE part END ORDER BY number)
        FROM jsonb_array_elements(stored -> 'segments') WITH ORDINALITY AS segments (part, number)));
END $$
"""


def upgrade() -> None:
    op.execute(_IDS_IN_RESPONSE)
    for service in _SERVICES:
        create_index_concurrently(
            f"ix_{service}_idempotency_ids",
            f"{service}_idempotency",
            [sa.text("ids_in_response(body)")],
            using="gin",
        )
    op.execute(_WITHOUT_PAUSE_REASONS)
    op.execute(
        """UPDATE sla_clocks c SET explanation = pg_temp.without_pause_reasons(c.explanation)
        FROM appeals a WHERE a.id = c.appeal_id AND a.erased_at IS NOT NULL
        AND c.explanation @> '{"segments": [{"why_not": "paused"}]}'"""
    )
    op.execute(
        """UPDATE alerts SET why = '' WHERE why <> '' AND incident_id IN (
            SELECT m.incident_id FROM incident_members m JOIN appeals a ON a.id = m.appeal_id
            GROUP BY m.incident_id HAVING every(a.erased_at IS NOT NULL))"""
    )
    # Only the appeal of a conversation loses its address.
    op.execute(
        """WITH addressed AS (
            UPDATE replies r SET url = NULL FROM appeals a
            WHERE a.id = r.appeal_id AND a.erased_at IS NOT NULL AND a.url IS NULL AND r.url IS NOT NULL
            RETURNING r.appeal_id
        ), shown AS (
            UPDATE timeline t SET data = t.data || '{"url": null}'
            WHERE t.appeal_id IN (SELECT appeal_id FROM addressed) AND t.data ->> 'url' <> ''
        )
        SELECT erase_events(array_agg(DISTINCT appeal_id)) FROM addressed"""
    )


def downgrade() -> None:
    for service in _SERVICES:
        drop_index_concurrently(f"ix_{service}_idempotency_ids", f"{service}_idempotency")
    op.execute("DROP FUNCTION IF EXISTS ids_in_response(jsonb)")
