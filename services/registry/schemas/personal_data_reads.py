"""API models of reads of personal data."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.registry.schemas.fields import EXAMPLE_ID
from shared.auth.rights import Role
from shared.contracts.values import PersonalDataSubject


class PersonalDataReadOut(BaseModel):
    """A read of citizens' texts: who read, in which role, which texts, and by which operation."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID = Field(examples=[EXAMPLE_ID])
    read_at: datetime
    service: str = Field(description="The service that answered", examples=["appeals"])
    actor: str = Field(description="Id of the person or API client who read", examples=[EXAMPLE_ID])
    actor_name: str | None = Field(
        default=None, description="Their name now; null: removed since", examples=["Доржиева Соёлма"]
    )
    role: Role = Field(description="Their role at that time")
    organisation_id: UUID | None = Field(
        description="Their organisation at that time; null: the centre", examples=[EXAMPLE_ID]
    )
    action: str = Field(description="The `operationId` of the request", examples=["get_appeal"])
    subject_kind: PersonalDataSubject
    subject_ids: list[UUID] | None = Field(
        description="Ids of those that were read; null: more than 100", examples=[[EXAMPLE_ID]]
    )
    subject_count: int = Field(description="How many were read", examples=[1])
    request_id: str | None = Field(description="`X-Request-Id` of the request", examples=[EXAMPLE_ID])
    ip_address: str | None = Field(description="IP address of the caller", examples=["192.0.2.7"])
