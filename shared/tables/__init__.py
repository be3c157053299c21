"""The shared Postgres schema: every table, one module per owning service.

`ownership.TABLE_OWNERS` names the writer of each table; all services but the console insert into `events`,
`audit`, `feed_epochs` and `personal_data_reads`. `RESTRICTED_COLUMNS` and `OWNER_ONLY_TABLES` are readable only by
the owner. Migrations grant exactly this; a test tries every forbidden pair.

A service imports the modules with the tables that it uses: a mapped table takes about 0.1 MB of each process.
`all_tables` imports every module.
"""

from shared.tables.base import Base

__all__ = ["Base"]
