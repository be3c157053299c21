"""Name indexes, a trigger and a function of the shared tables after what they do."""

from collections.abc import Sequence

from migrations.renames import rename

revision: str = "0026"
down_revision: str | None = "0025"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

# The kind, what follows the name in the statement, the former and the new name.
RENAMED = (
    ("INDEX", "", "ix_events_waiting", "ix_events_unnumbered"),
    ("INDEX", "", "ix_audit_waiting", "ix_audit_unchained"),
    ("TRIGGER", " ON audit", "audit_is_never_emptied", "audit_rejects_truncate"),
    ("FUNCTION", "()", "events_of_jobs", "events_needed_by_jobs"),
)


def upgrade() -> None:
    for kind, suffix, former, new in RENAMED:
        rename(f"ALTER {kind} {former}{suffix} RENAME TO {new}")


def downgrade() -> None:
    for kind, suffix, former, new in RENAMED:
        rename(f"ALTER {kind} {new}{suffix} RENAME TO {former}")
