"""API models of the audit trail."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, field_serializer
from typing_extensions import TypeAliasType

from services.registry.schemas.fields import EXAMPLE_ID
from shared.audit import column_policy

_TABLES = sorted(column_policy.READABLE_COLUMNS.keys() | column_policy.FORMER_TABLE_NAMES)
AuditedTable = TypeAliasType("AuditedTable", Annotated[str, WithJsonSchema({"type": "string", "enum": _TABLES})])


class AuditEntry(BaseModel):
    """One change. Texts and names are replaced by `{"digest": …}`, secrets by `{"secret": true}`."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID = Field(examples=[EXAMPLE_ID])
    position: int = Field(description="Position in the chain, from 1", examples=[1204])
    chain: bytes = Field(
        description="Hash of this entry and the previous one, in hexadecimal; `gospablik audit verify` checks it",
        examples=["9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f"],
    )
    created_at: datetime
    service: str = Field(description="The service that wrote the entry", examples=["registry"])
    actor: str = Field(
        description="Who made the change: id of a person, API client or partner, a service, `operator:` and a "
        "user id, or `link:` and the id of the person whose letter had the link",
        examples=[EXAMPLE_ID],
    )
    on_behalf_of: str | None = Field(
        description="The person on whose behalf a service acted; for a partner, its owner", examples=[EXAMPLE_ID]
    )
    action: str = Field(description="The `operationId` of the request, or the command", examples=["update_page"])
    subject_kind: AuditedTable = Field(description="The table of the changed row", examples=["pages"])
    subject_id: str = Field(examples=[EXAMPLE_ID])
    organisation_id: UUID | None = Field(
        description="The organisation that the row belongs to; null: the centre", examples=[EXAMPLE_ID]
    )
    before: dict[str, Any] | None = Field(
        description="The changed fields before; null: the row did not exist",
        examples=[{"active": True, "version": 1}],
    )
    after: dict[str, Any] | None = Field(
        description="The changed fields after; null: the row was deleted",
        examples=[{"active": False, "version": 2}],
    )
    request_id: str | None = Field(description="`X-Request-Id` of the request", examples=[EXAMPLE_ID])
    ip_address: str | None = Field(description="IP address of the caller", examples=["192.0.2.7"])

    @field_serializer("chain")
    def _hexadecimal(self, value: bytes) -> str:
        return value.hex()
