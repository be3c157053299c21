"""What crosses the wire of the audit trail."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, field_serializer

from services.registry.schemas.organisations import EXAMPLE_ID


class AuditEntry(BaseModel):
    """One change. Texts and names stand in it as `{"digest": …}`, secrets as `{"secret": true}`."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID = Field(examples=[EXAMPLE_ID])
    position: int = Field(description="The row's place in the chain, from 1", examples=[1204])
    chain: bytes = Field(
        description="Hash of this row and of the one before, in hexadecimal; `gospablik audit verify` checks it"
    )
    created_at: datetime
    service: str = Field(description="Which service wrote it", examples=["registry"])
    actor: str = Field(
        description="Who did it: id of a person or an API client, a service, or `operator:` and a user id",
        examples=[EXAMPLE_ID],
    )
    on_behalf_of: str | None = Field(description="The person that a service acted for", examples=[EXAMPLE_ID])
    action: str = Field(
        description="The operation of this document, or the command", examples=["registry_patch_page"]
    )
    subject_kind: str = Field(description="The table of what was changed", examples=["pages"])
    subject_id: str = Field(examples=[EXAMPLE_ID])
    organisation_id: UUID | None = Field(description="Whose it is; null: the centre's", examples=[EXAMPLE_ID])
    before: dict[str, Any] | None = Field(
        description="What changed, as it was; null: it was not there", examples=[{"active": True, "version": 1}]
    )
    after: dict[str, Any] | None = Field(
        description="What changed, as it is since; null: it was deleted",
        examples=[{"active": False, "version": 2}],
    )
    request_id: str | None = Field(description="`X-Request-Id` of the call", examples=[EXAMPLE_ID])
    came_from: str | None = Field(description="Network address of the caller", examples=["192.0.2.7"])

    @field_serializer("chain")
    def _hexadecimal(self, value: bytes) -> str:
        return value.hex()
