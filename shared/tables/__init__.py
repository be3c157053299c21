"""The shared Postgres schema: every table, one module per owning service.

`OWNERS` names who writes each table; `events`, `audit` and `feed_epochs` are inserted into by every service.
`GUARDED` lists the columns that only the owner may even read, `HIDDEN` the tables. Migrations grant exactly this;
a test tries every forbidden pair.
"""

from shared.tables import appeals, common, ingest, registry, webhooks
from shared.tables.base import Base

__all__ = ["Base", "appeals", "common", "ingest", "registry", "webhooks"]
