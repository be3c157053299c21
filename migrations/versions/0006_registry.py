"""Registry: names, successions, the tree, page steps and checks, coverage, access, the audit trail."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0006"
down_revision: str | None = "0005b"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

SERVICES = ("registry", "ingest", "appeals", "metrics", "webhooks")
TABLES = (
    "organisation_names",
    "successions",
    "page_steps",
    "page_checks",
    "page_check_calls",
    "coverage_days",
    "client_secrets",
)
# The columns of client_secrets that other services may read: all except the digest.
SECRET_COLUMNS = ("id", "client_id", "created_at", "expires_at", "last_used_at")

# Stored responses for idempotency, which only their owner may read.
ANSWERS = {service: f"{service}_idempotency" for service in SERVICES if service != "metrics"}

# A row's lineage is derived from its parent's; when an organisation moves, its descendants are updated.
LINEAGE = """
CREATE FUNCTION organisations_own_lineage() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE above uuid[] := '{}';
BEGIN
    IF NEW.parent_id IS NOT NULL THEN
        SELECT lineage INTO above FROM organisations WHERE id = NEW.parent_id;
        IF NOT FOUND THEN
            RAISE foreign_key_violation USING MESSAGE = 'the parent must be written before its children';
        END IF;
        IF NEW.id = ANY (above) THEN
            RAISE check_violation USING MESSAGE = 'an organisation cannot belong to itself or to one beneath it';
        END IF;
    END IF;
    NEW.lineage := above || NEW.id;
    RETURN NEW;
END $$;
CREATE FUNCTION organisations_lineage_beneath() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE organisations
    SET lineage = NEW.lineage || lineage[array_position(lineage, NEW.id) + 1:]
    WHERE lineage @> ARRAY[NEW.id] AND id <> NEW.id;
    RETURN NULL;
END $$;
CREATE TRIGGER organisations_own_lineage BEFORE INSERT OR UPDATE OF parent_id ON organisations
    FOR EACH ROW EXECUTE FUNCTION organisations_own_lineage();
CREATE TRIGGER organisations_lineage_beneath AFTER UPDATE OF parent_id ON organisations
    FOR EACH ROW WHEN (OLD.lineage IS DISTINCT FROM NEW.lineage)
    EXECUTE FUNCTION organisations_lineage_beneath();
"""

# The grants forbid changes too; the trigger also applies to the owner of the schema.
APPEND_ONLY = """
CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.position IS NULL
       AND to_jsonb(NEW) - '{position,chain}'::text[] = to_jsonb(OLD) - '{position,chain}'::text[] THEN
        RETURN NEW;
    END IF;
    RAISE insufficient_privilege USING MESSAGE = 'the audit trail is append-only';
END $$;
CREATE TRIGGER audit_is_append_only BEFORE UPDATE OR DELETE ON audit
    FOR EACH ROW EXECUTE FUNCTION audit_is_append_only();
CREATE TRIGGER audit_is_never_emptied BEFORE TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only();
"""

EXISTING = """
WITH RECURSIVE tree AS (
    SELECT id, ARRAY[id] AS lineage FROM organisations WHERE parent_id IS NULL
    UNION ALL
    SELECT child.id, tree.lineage || child.id FROM organisations child JOIN tree ON child.parent_id = tree.id
)
UPDATE organisations SET lineage = tree.lineage FROM tree WHERE tree.id = organisations.id;
INSERT INTO organisation_names (id, organisation_id, kind, name, folded, created_at)
    SELECT gen_random_uuid(), id, 'official', name, sort_key, created_at FROM organisations
    UNION ALL
    SELECT gen_random_uuid(), id, 'short', short_name, replace(lower(short_name), 'ё', 'е'), created_at
    FROM organisations WHERE short_name IS NOT NULL;
INSERT INTO page_steps (id, page_id, step, reached_on, evidence_kind, confirmed_by, created_at)
    SELECT gen_random_uuid(), id, 'created', (created_at AT TIME ZONE 'Asia/Irkutsk')::date, 'manual', 'migration',
        created_at
    FROM pages;
"""


def _run_script(sql: str) -> None:
    # Run several statements at once with asyncpg's simple query protocol, in the same transaction.
    adapted = op.get_bind().connection.dbapi_connection
    adapted.run_async(lambda driver: driver.execute(sql))  # type: ignore[union-attr]


def _all_but(owner: str) -> str:
    return ", ".join(f"gospablik_{service}" for service in SERVICES if service != owner)


def _grant() -> None:
    others = _all_but("registry")
    for table in TABLES:
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO gospablik_registry")
        columns = f" ({', '.join(SECRET_COLUMNS)})" if table == "client_secrets" else ""
        op.execute(f"GRANT SELECT{columns} ON {table} TO {others}")
    op.execute(f"GRANT SELECT ON api_clients TO {others}")
    op.execute(f"GRANT SELECT (beneath, locked_at, last_sign_in_at) ON people TO {others}")
    op.execute(f"GRANT SELECT (signed_in_at) ON refresh_tokens TO {others}")
    for owner, table in ANSWERS.items():
        op.execute(f"REVOKE SELECT ON {table} FROM {_all_but(owner)}")
    # Every service inserts rows; UPDATE is granted only on the columns that the relay sets.
    everyone = ", ".join(f"gospablik_{service}" for service in SERVICES)
    op.execute(f"GRANT SELECT, INSERT, UPDATE (position, chain) ON audit TO {everyone}")


def upgrade() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    op.create_table(
        "audit",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=True),
        sa.Column("chain", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("on_behalf_of", sa.Text(), nullable=True),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject_kind", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Text(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=True),
        sa.Column("before", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("after", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("came_from", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_index("ix_audit_actor", "audit", ["actor", "position"], unique=False)
    op.create_index(
        "ix_audit_on_behalf_of",
        "audit",
        ["on_behalf_of", "position"],
        unique=False,
        postgresql_where=sa.text("on_behalf_of IS NOT NULL"),
    )
    op.create_index("ix_audit_action", "audit", ["action", "position"], unique=False)
    op.create_index("ix_audit_created_at", "audit", ["created_at", "position"], unique=False)
    op.create_index("ix_audit_organisation_id", "audit", ["organisation_id", "position"], unique=False)
    op.create_index("ix_audit_position", "audit", ["position"], unique=True)
    op.create_index("ix_audit_subject_id", "audit", ["subject_id", "position"], unique=False)
    op.create_index(
        "ix_audit_unnumbered",
        "audit",
        ["created_at", "id"],
        unique=False,
        postgresql_where=sa.text("position IS NULL"),
    )
    op.create_table(
        "coverage_days",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("municipality", sa.Text(), nullable=True),
        sa.Column("sphere", sa.Text(), nullable=True),
        sa.Column("owner_id", sa.Uuid(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("exempt", sa.Integer(), nullable=False),
        sa.Column("covered", sa.Integer(), nullable=False),
        sa.Column("live", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_coverage_days")),
    )
    op.create_index("ix_coverage_days_day", "coverage_days", ["day", "network"], unique=False)
    op.create_table(
        "organisation_names",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("folded", sa.Text(), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=True),
        sa.Column("valid_to", sa.Date(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name=op.f("fk_organisation_names_organisation_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_organisation_names")),
    )
    op.create_index(
        "ix_organisation_names_folded",
        "organisation_names",
        ["folded"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"folded": "gin_trgm_ops"},
    )
    op.create_index(
        "ix_organisation_names_organisation_id", "organisation_names", ["organisation_id"], unique=False
    )
    op.create_table(
        "successions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("predecessor_id", sa.Uuid(), nullable=False),
        sa.Column("successor_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("took_place_on", sa.Date(), nullable=False),
        sa.Column("document", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["predecessor_id"], ["organisations.id"], name=op.f("fk_successions_predecessor_id")
        ),
        sa.ForeignKeyConstraint(["successor_id"], ["organisations.id"], name=op.f("fk_successions_successor_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_successions")),
        sa.UniqueConstraint(
            "predecessor_id", "successor_id", name=op.f("uq_successions_predecessor_id_successor_id")
        ),
    )
    op.create_index(op.f("ix_successions_successor_id"), "successions", ["successor_id"], unique=False)
    op.create_table(
        "client_secrets",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["client_id"], ["api_clients.id"], name=op.f("fk_client_secrets_client_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_client_secrets")),
    )
    op.create_index(op.f("ix_client_secrets_client_id"), "client_secrets", ["client_id"], unique=False)
    op.create_table(
        "page_checks",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("page_id", sa.Uuid(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("changed", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["page_id"], ["pages.id"], name=op.f("fk_page_checks_page_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_page_checks")),
        sa.UniqueConstraint("page_id", "day", name=op.f("uq_page_checks_page_id_day")),
    )
    op.create_index("ix_page_checks_day", "page_checks", ["day", "page_id"], unique=False)
    op.create_table(
        "page_check_calls",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("day", "network", name=op.f("pk_page_check_calls")),
    )
    op.create_table(
        "page_steps",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("page_id", sa.Uuid(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("reached_on", sa.Date(), nullable=False),
        sa.Column("evidence_kind", sa.Text(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=True),
        sa.Column("confirmed_by", sa.Text(), nullable=False),
        sa.Column("lost_on", sa.Date(), nullable=True),
        sa.Column("lost_reason", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["page_id"], ["pages.id"], name=op.f("fk_page_steps_page_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_page_steps")),
    )
    op.create_index(
        "ix_page_steps_lost_on",
        "page_steps",
        ["lost_on"],
        unique=False,
        postgresql_where=sa.text("lost_on IS NOT NULL"),
    )
    op.create_index(op.f("ix_page_steps_page_id"), "page_steps", ["page_id"], unique=False)
    op.create_index(
        "uq_page_steps_standing",
        "page_steps",
        ["page_id", "step"],
        unique=True,
        postgresql_where=sa.text("lost_on IS NULL"),
    )
    op.add_column("api_clients", sa.Column("beneath", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("api_clients", sa.Column("scopes", postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    op.add_column("api_clients", sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("api_clients", sa.Column("version", sa.Integer(), server_default="1", nullable=False))
    op.add_column(
        "api_clients",
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
    )
    op.add_column(
        "refresh_tokens",
        sa.Column("signed_in_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
    )
    op.add_column("refresh_tokens", sa.Column("came_from", sa.Text(), nullable=True))
    op.add_column("refresh_tokens", sa.Column("user_agent", sa.Text(), nullable=True))
    op.execute("UPDATE refresh_tokens SET signed_in_at = created_at")
    op.execute(
        """INSERT INTO client_secrets (id, client_id, digest, created_at, expires_at)
           SELECT gen_random_uuid(), id, secret_hash, created_at, NULL FROM api_clients"""
    )
    op.drop_column("api_clients", "secret_hash")
    op.add_column(
        "organisations",
        sa.Column(
            "other_spheres",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'"),
            nullable=False,
        ),
    )
    op.add_column("organisations", sa.Column("oktmo", sa.Text(), nullable=True))
    op.add_column("organisations", sa.Column("inn", sa.Text(), nullable=True))
    op.add_column("organisations", sa.Column("ogrn", sa.Text(), nullable=True))
    op.add_column("organisations", sa.Column("address", sa.Text(), nullable=True))
    op.add_column("organisations", sa.Column("phone", sa.Text(), nullable=True))
    op.add_column("organisations", sa.Column("email", sa.Text(), nullable=True))
    op.add_column("organisations", sa.Column("site", sa.Text(), nullable=True))
    op.add_column("organisations", sa.Column("pos_opa_id", sa.Text(), nullable=True))
    op.add_column(
        "organisations",
        sa.Column("lineage", postgresql.ARRAY(sa.Uuid()), server_default=sa.text("'{}'"), nullable=False),
    )
    op.add_column("organisations", sa.Column("valid_from", sa.Date(), nullable=True))
    op.add_column("organisations", sa.Column("valid_to", sa.Date(), nullable=True))
    op.add_column("organisations", sa.Column("exempt_reason", sa.Text(), nullable=True))
    op.add_column("organisations", sa.Column("exempt_document", sa.Text(), nullable=True))
    op.create_index("ix_organisations_inn", "organisations", ["inn"], unique=False)
    op.create_index("ix_organisations_lineage", "organisations", ["lineage"], unique=False, postgresql_using="gin")
    op.create_index("ix_organisations_ogrn", "organisations", ["ogrn"], unique=False)
    op.create_index("ix_organisations_parent_id", "organisations", ["parent_id"], unique=False)
    op.add_column("calendars", sa.Column("base_id", sa.Uuid(), nullable=True))
    op.create_foreign_key(op.f("fk_calendars_base_id"), "calendars", "calendars", ["base_id"], ["id"])
    op.add_column("pages", sa.Column("state", sa.Text(), server_default="unknown", nullable=False))
    op.add_column("pages", sa.Column("checked_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index("ix_pages_screen_name", "pages", ["network", sa.text("lower(screen_name)")], unique=False)
    op.add_column("people", sa.Column("beneath", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("people", sa.Column("issuer", sa.Text(), nullable=True))
    op.add_column("people", sa.Column("external_subject", sa.Text(), nullable=True))
    op.add_column("people", sa.Column("locked_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("people", sa.Column("locked_reason", sa.Text(), nullable=True))
    op.add_column("people", sa.Column("last_sign_in_at", sa.DateTime(timezone=True), nullable=True))
    op.create_unique_constraint(
        op.f("uq_people_issuer_external_subject"), "people", ["issuer", "external_subject"]
    )
    for table in ANSWERS.values():
        op.create_index(op.f(f"ix_{table}_created_at"), table, ["created_at"], unique=False)
    _run_script(EXISTING)
    _run_script(LINEAGE)
    _run_script(APPEND_ONLY)
    _grant()


def downgrade() -> None:
    for owner, table in ANSWERS.items():
        op.drop_index(op.f(f"ix_{table}_created_at"), table_name=table)
        op.execute(f"GRANT SELECT ON {table} TO {_all_but(owner)}")
    op.execute("DROP TRIGGER organisations_lineage_beneath ON organisations")
    op.execute("DROP TRIGGER organisations_own_lineage ON organisations")
    op.execute("DROP FUNCTION organisations_lineage_beneath")
    op.execute("DROP FUNCTION organisations_own_lineage")
    op.execute("DROP TRIGGER audit_is_never_emptied ON audit")
    op.execute("DROP TRIGGER audit_is_append_only ON audit")
    op.execute("DROP FUNCTION audit_is_append_only")
    op.drop_constraint(op.f("uq_people_issuer_external_subject"), "people", type_="unique")
    op.drop_column("people", "last_sign_in_at")
    op.drop_column("people", "locked_reason")
    op.drop_column("people", "locked_at")
    op.drop_column("people", "external_subject")
    op.drop_column("people", "issuer")
    op.drop_column("people", "beneath")
    op.drop_constraint(op.f("fk_calendars_base_id"), "calendars", type_="foreignkey")
    op.drop_column("calendars", "base_id")
    op.drop_index("ix_pages_screen_name", table_name="pages")
    op.drop_column("pages", "checked_at")
    op.drop_column("pages", "state")
    op.drop_index("ix_organisations_parent_id", table_name="organisations")
    op.drop_index("ix_organisations_ogrn", table_name="organisations")
    op.drop_index("ix_organisations_lineage", table_name="organisations", postgresql_using="gin")
    op.drop_index("ix_organisations_inn", table_name="organisations")
    op.drop_column("organisations", "exempt_document")
    op.drop_column("organisations", "exempt_reason")
    op.drop_column("organisations", "valid_to")
    op.drop_column("organisations", "valid_from")
    op.drop_column("organisations", "lineage")
    op.drop_column("organisations", "pos_opa_id")
    op.drop_column("organisations", "site")
    op.drop_column("organisations", "email")
    op.drop_column("organisations", "phone")
    op.drop_column("organisations", "address")
    op.drop_column("organisations", "ogrn")
    op.drop_column("organisations", "inn")
    op.drop_column("organisations", "oktmo")
    op.drop_column("organisations", "other_spheres")
    op.add_column("api_clients", sa.Column("secret_hash", sa.Text(), nullable=True))
    op.execute(
        """UPDATE api_clients SET secret_hash = coalesce((SELECT digest FROM client_secrets WHERE client_id =
           api_clients.id ORDER BY created_at DESC LIMIT 1), '')"""
    )
    op.alter_column("api_clients", "secret_hash", nullable=False)
    op.drop_column("refresh_tokens", "user_agent")
    op.drop_column("refresh_tokens", "came_from")
    op.drop_column("refresh_tokens", "signed_in_at")
    op.drop_column("api_clients", "updated_at")
    op.drop_column("api_clients", "version")
    op.drop_column("api_clients", "last_used_at")
    op.drop_column("api_clients", "scopes")
    op.drop_column("api_clients", "beneath")
    op.drop_index("uq_page_steps_standing", table_name="page_steps", postgresql_where=sa.text("lost_on IS NULL"))
    op.drop_index(op.f("ix_page_steps_page_id"), table_name="page_steps")
    op.drop_index(
        "ix_page_steps_lost_on", table_name="page_steps", postgresql_where=sa.text("lost_on IS NOT NULL")
    )
    op.drop_table("page_steps")
    op.drop_table("page_check_calls")
    op.drop_index("ix_page_checks_day", table_name="page_checks")
    op.drop_table("page_checks")
    op.drop_index(op.f("ix_client_secrets_client_id"), table_name="client_secrets")
    op.drop_table("client_secrets")
    op.drop_index(op.f("ix_successions_successor_id"), table_name="successions")
    op.drop_table("successions")
    op.drop_index("ix_organisation_names_organisation_id", table_name="organisation_names")
    op.drop_index(
        "ix_organisation_names_folded",
        table_name="organisation_names",
        postgresql_using="gin",
        postgresql_ops={"folded": "gin_trgm_ops"},
    )
    op.drop_table("organisation_names")
    op.drop_index("ix_coverage_days_day", table_name="coverage_days")
    op.drop_table("coverage_days")
    op.drop_index("ix_audit_unnumbered", table_name="audit", postgresql_where=sa.text("position IS NULL"))
    op.drop_index("ix_audit_subject_id", table_name="audit")
    op.drop_index("ix_audit_position", table_name="audit")
    op.drop_index("ix_audit_created_at", table_name="audit")
    op.drop_index("ix_audit_action", table_name="audit")
    op.drop_index(
        "ix_audit_on_behalf_of", table_name="audit", postgresql_where=sa.text("on_behalf_of IS NOT NULL")
    )
    op.drop_index("ix_audit_organisation_id", table_name="audit")
    op.drop_index("ix_audit_actor", table_name="audit")
    op.drop_table("audit")
