"""Allow purging of expired rows: webhooks purges the event feed, which it serves."""

from collections.abc import Sequence

from alembic import op

from migrations.indexes import create_index_concurrently

revision: str = "0016"
down_revision: str | None = "0015"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

SERVICES = ("registry", "ingest", "appeals", "metrics", "webhooks")

# A dead-lettered event is read by its job. No service may read another service's queue, so a function of the
# schema's owner returns which events these are, and nothing else about the jobs.
OF_JOBS = f"""
CREATE FUNCTION events_of_jobs() RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    {
    " UNION ALL ".join(
        "SELECT (convert_from(payload, 'UTF8')::jsonb ->> 'event_id')::uuid"
        f" FROM {service}_jobs.pgqueuer WHERE entrypoint LIKE 'event:%'"
        for service in SERVICES
    )
}
$$
"""
# No service may delete events; webhooks may call this function, whose minimum age no setting can change.
PURGE = """
CREATE FUNCTION purge_events(upto bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE gone bigint;
BEGIN
    IF EXISTS (SELECT FROM public.events WHERE position < upto AND created_at > now() - interval '120 days') THEN
        RAISE insufficient_privilege USING MESSAGE = 'events of the last 120 days are never deleted';
    END IF;
    DELETE FROM public.events WHERE position < upto;
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END $$
"""


def upgrade() -> None:
    # Deleting an event checks whether deliveries of it are kept.
    create_index_concurrently("ix_webhook_deliveries_event_id", "webhook_deliveries", ["event_id"])
    create_index_concurrently("ix_message_versions_replaced_at", "message_versions", ["replaced_at"])
    for function, definition in (("events_of_jobs()", OF_JOBS), ("purge_events(bigint)", PURGE)):
        op.execute(definition)
        op.execute(f"REVOKE ALL ON FUNCTION {function} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION {function} TO gospablik_webhooks")


def downgrade() -> None:
    op.execute("DROP FUNCTION purge_events(bigint)")
    op.execute("DROP FUNCTION events_of_jobs()")
    op.drop_index("ix_message_versions_replaced_at", table_name="message_versions")
    op.drop_index("ix_webhook_deliveries_event_id", table_name="webhook_deliveries")
