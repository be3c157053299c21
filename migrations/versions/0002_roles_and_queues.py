"""Create a role with its grants and a job queue for each service.

Group roles own nothing and cannot sign in; the deployment creates the login roles, since it has the passwords.
All services may read all tables, except restricted columns, which only the owner of the table reads.
"""

from collections.abc import Sequence

from alembic import op

from shared.jobs import queue_schema_sql

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

SERVICES = ("registry", "ingest", "appeals", "metrics", "webhooks")

OWNED = {
    "registry": (
        "municipalities", "calendars", "calendar_days", "organisations", "pages", "people", "api_clients",
        "refresh_tokens", "sign_in_failures", "registry_idempotency",
    ),
    "ingest": (
        "messages", "message_versions", "authors", "sources", "threads", "set_aside", "network_tokens",
        "publications", "ingest_cursors", "ingest_idempotency",
    ),
    "appeals": (
        "topics", "sla_policies", "appeals", "appeal_messages", "triage", "replies", "timeline", "routing_rules",
        "appeals_cursors", "appeals_idempotency",
    ),
    "webhooks": ("webhook_endpoints", "webhook_deliveries", "webhooks_cursors", "webhooks_idempotency"),
}  # fmt: skip

GUARDED = {
    "people": ("username", "full_name", "password_hash"),
    "api_clients": ("secret_hash",),
    "refresh_tokens": ("digest",),
    "sign_in_failures": ("digest",),
    "messages": ("raw",),
    "message_versions": ("raw",),
    "authors": ("identity",),
    "set_aside": ("raw",),
    "network_tokens": ("secret", "digest"),
    "webhook_endpoints": ("secret",),
}


def _grant_reading(table: str, roles: str) -> None:
    guarded = GUARDED.get(table)
    if guarded is None:
        op.execute(f"GRANT SELECT ON {table} TO {roles}")
        return
    hidden = ", ".join(f"'{column}'" for column in guarded)
    op.execute(
        f"""
        DO $$
        DECLARE shown text;
        BEGIN
            SELECT string_agg(quote_ident(attname), ', ') INTO shown FROM pg_attribute
            WHERE attrelid = '{table}'::regclass AND attnum > 0 AND NOT attisdropped
              AND attname NOT IN ({hidden});
            EXECUTE format('GRANT SELECT (%s) ON {table} TO {roles}', shown);
        END $$
        """
    )


def _run_script(sql: str) -> None:
    # Run several statements at once with asyncpg's simple query protocol, in the same transaction.
    adapted = op.get_bind().connection.dbapi_connection
    adapted.run_async(lambda driver: driver.execute(sql))  # type: ignore[union-attr]


def upgrade() -> None:
    for service in SERVICES:
        op.execute(
            f"""
            DO $$ BEGIN
                CREATE ROLE gospablik_{service} NOLOGIN;
            EXCEPTION WHEN duplicate_object THEN NULL;
            END $$
            """
        )
        op.execute(f"GRANT USAGE ON SCHEMA public TO gospablik_{service}")
    for owner, tables in OWNED.items():
        others = ", ".join(f"gospablik_{service}" for service in SERVICES if service != owner)
        for table in tables:
            op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO gospablik_{owner}")
            _grant_reading(table, others)
    everyone = ", ".join(f"gospablik_{service}" for service in SERVICES)
    # Every service inserts events; UPDATE is granted only on `position`, which the relay sets.
    op.execute(f"GRANT SELECT, INSERT, UPDATE (position) ON events TO {everyone}")
    for service in SERVICES:
        _run_script(queue_schema_sql(service))
        schema, role = f"{service}_jobs", f"gospablik_{service}"
        op.execute(f"GRANT USAGE ON SCHEMA {schema} TO {role}")
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role}")
        op.execute(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {role}")


def downgrade() -> None:
    for service in SERVICES:
        op.execute(f"DROP SCHEMA {service}_jobs CASCADE")
        op.execute(f"DROP OWNED BY gospablik_{service}")
