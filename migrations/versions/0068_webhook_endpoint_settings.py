"""Store filters, own headers, a pause and the verification of the URL of a webhook endpoint."""

from collections.abc import Sequence

from alembic import op

revision: str = "0068"
down_revision: str | None = "0067"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

# These services may read the new columns of endpoints.
_OTHERS = "gospablik_registry, gospablik_ingest, gospablik_appeals, gospablik_metrics"
_COLUMNS = {
    "organisation_subtree": "uuid[] NOT NULL DEFAULT '{}'",
    "topics": "uuid[] NOT NULL DEFAULT '{}'",
    "municipalities": "jsonb NOT NULL DEFAULT '[]'",
    "paused": "boolean NOT NULL DEFAULT false",
    "header_names": "jsonb NOT NULL DEFAULT '[]'",
    # Existing endpoints count as verified, and those that the previous version creates during the upgrade.
    "verified_at": "timestamptz DEFAULT now()",
    "verification_id": "uuid",
}


def upgrade() -> None:
    for name, definition in _COLUMNS.items():
        op.execute(f"ALTER TABLE webhook_endpoints ADD COLUMN {name} {definition}")
    # Only webhooks may read this column: the encrypted values of the headers.
    op.execute("ALTER TABLE webhook_endpoints ADD COLUMN headers bytea")
    op.execute(f"GRANT SELECT ({', '.join(_COLUMNS)}) ON webhook_endpoints TO {_OTHERS}")


def downgrade() -> None:
    op.drop_column("webhook_endpoints", "headers")
    for name in reversed(_COLUMNS):
        op.drop_column("webhook_endpoints", name)
