"""Store how people want to be notified of events, the notices, and the letters that contain them."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: str = "0048"
down_revision: str | None = "0047"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_OTHERS = "gospablik_registry, gospablik_ingest, gospablik_appeals, gospablik_metrics"
_UNSENT = "status = 'waiting' AND letter_id IS NULL"


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "notice_settings",
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("choices", JSONB(), nullable=False),
        sa.Column("urgent_at_any_hour", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("address", sa.LargeBinary(), nullable=True),
        sa.Column("address_state", sa.Text(), nullable=False),
        sa.Column("former_address", sa.LargeBinary(), nullable=True),
        sa.Column("address_generation", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("confirmation_nonce", sa.Uuid(), nullable=True),
        sa.Column("bounces", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("updated_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("person_id", name=op.f("pk_notice_settings")),
    )
    op.create_table(
        "notice_letters",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", moment, nullable=False),
        sa.Column("address_generation", sa.Integer(), nullable=True),
        sa.Column("address_digest", sa.LargeBinary(), nullable=True),
        sa.Column("lease_id", sa.Uuid(), nullable=True),
        sa.Column("leased_until", moment, nullable=True),
        sa.Column("smtp_status", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("sent_at", moment, nullable=True),
        sa.Column("created_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notice_letters")),
    )
    letters = "notice_letters"
    op.create_index(
        "ix_notice_letters_due", letters, ["next_attempt_at"], postgresql_where=sa.text("status = 'waiting'")
    )
    op.create_index(
        "ix_notice_letters_sending", letters, ["leased_until"], postgresql_where=sa.text("status = 'sending'")
    )
    op.create_index("ix_notice_letters_person_id", letters, ["person_id", "created_at"])
    op.create_index("ix_notice_letters_created_at", letters, ["created_at"])
    op.create_index(
        "ix_notice_letters_address_digest",
        letters,
        ["address_digest", "created_at"],
        postgresql_where=sa.text("address_digest IS NOT NULL"),
    )
    op.create_table(
        "notices",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("event_type", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=True),
        sa.Column("appeal_id", sa.Uuid(), nullable=False),
        sa.Column("appeal_number", sa.BigInteger(), nullable=False),
        sa.Column("appeal_organisation_id", sa.Uuid(), nullable=True),
        sa.Column("details", JSONB(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("digest", sa.Boolean(), nullable=False),
        sa.Column("send_at", moment, nullable=False),
        sa.Column("letter_id", sa.Uuid(), nullable=True),
        sa.Column("occurred_at", moment, nullable=False),
        sa.Column("sent_at", moment, nullable=True),
        sa.Column("created_at", moment, nullable=False),
        sa.ForeignKeyConstraint(["letter_id"], ["notice_letters.id"], name=op.f("fk_notices_letter_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notices")),
        sa.UniqueConstraint("event_id", "person_id", "kind", name=op.f("uq_notices_event_id_person_id_kind")),
    )
    op.create_index("ix_notices_due", "notices", ["digest", "send_at"], postgresql_where=sa.text(_UNSENT))
    op.create_index(
        "ix_notices_person_id_send_at", "notices", ["person_id", "send_at"], postgresql_where=sa.text(_UNSENT)
    )
    op.create_index("ix_notices_letter_id", "notices", ["letter_id"])
    op.create_index("ix_notices_person_id_created_at", "notices", ["person_id", "created_at", "id"])
    op.create_index("ix_notices_organisation_id_created_at", "notices", ["organisation_id", "created_at", "id"])
    op.create_index("ix_notices_status_created_at", "notices", ["status", "created_at", "id"])
    op.create_index("ix_notices_created_at", "notices", ["created_at", "id"])
    op.execute(
        "GRANT SELECT, INSERT, UPDATE, DELETE ON notice_settings, notice_letters, notices TO gospablik_webhooks"
    )
    op.execute(f"GRANT SELECT ON notice_letters, notices TO {_OTHERS}")
    op.execute(
        "GRANT SELECT (person_id, choices, urgent_at_any_hour, address_state, address_generation, bounces,"
        f" version, created_at, updated_at) ON notice_settings TO {_OTHERS}"
    )
    # Events from before the upgrade cause no notices.
    op.execute(
        "INSERT INTO webhooks_consumer_offsets (consumer, position)"
        " SELECT 'webhooks-notices', max(position) FROM events HAVING max(position) IS NOT NULL"
    )


def downgrade() -> None:
    op.execute("DELETE FROM webhooks_consumer_offsets WHERE consumer = 'webhooks-notices'")
    op.drop_table("notices")
    op.drop_table("notice_letters")
    op.drop_table("notice_settings")
