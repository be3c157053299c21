"""The shared Postgres schema: every table, one module per owning service.

`ownership.TABLE_OWNERS` names the writer of each table; all services insert into `events`, `audit` and
`feed_epochs`. `RESTRICTED_COLUMNS` and `OWNER_ONLY_TABLES` are readable only by the owner. Migrations grant
exactly this; a test tries every forbidden pair.
"""

from shared.tables import (
    appeals,
    appeals_bulk,
    appeals_classification,
    appeals_exports,
    appeals_extensions,
    appeals_feedback,
    appeals_incidents,
    appeals_lists,
    appeals_merges,
    appeals_partners,
    appeals_replies,
    appeals_routing,
    appeals_search,
    appeals_sla,
    appeals_work,
    attachments,
    common,
    console,
    ingest,
    ingest_erasure,
    metrics,
    metrics_grading,
    metrics_pages,
    metrics_rollups,
    notices,
    registry,
    webhooks,
)
from shared.tables.base import Base

__all__ = [
    "Base",
    "appeals",
    "appeals_bulk",
    "appeals_classification",
    "appeals_exports",
    "appeals_extensions",
    "appeals_feedback",
    "appeals_incidents",
    "appeals_lists",
    "appeals_merges",
    "appeals_partners",
    "appeals_replies",
    "appeals_routing",
    "appeals_search",
    "appeals_sla",
    "appeals_work",
    "attachments",
    "common",
    "console",
    "ingest",
    "ingest_erasure",
    "metrics",
    "metrics_grading",
    "metrics_pages",
    "metrics_rollups",
    "notices",
    "registry",
    "webhooks",
]
