"""Schemas of the facets of a list."""

from pydantic import BaseModel, Field

from services.appeals.schemas.common import MunicipalityRef, NamedRef
from shared.contracts.values import AppealStatus, Urgency
from shared.networks import NetworkName


class StatusFacet(BaseModel):
    """Appeals with this status."""

    value: AppealStatus
    count: int = Field(examples=[12])


class UrgencyFacet(BaseModel):
    """Appeals with this urgency."""

    value: Urgency
    count: int = Field(examples=[3])


class NetworkFacet(BaseModel):
    """Appeals from this network."""

    value: NetworkName
    count: int = Field(examples=[40])


class NamedFacet(BaseModel):
    """Appeals of this organisation or topic group."""

    value: NamedRef
    count: int = Field(examples=[7])


class MunicipalityFacet(BaseModel):
    """Appeals about this municipality."""

    value: MunicipalityRef
    count: int = Field(examples=[5])


class AppealFacets(BaseModel):
    """Counts of the newest appeals of a list by value, the most frequent value first."""

    counted: int = Field(description="How many appeals were counted, at most 1,000", examples=[64])
    complete: bool = Field(description="Whether all appeals of the list were counted")
    status: list[StatusFacet]
    urgency: list[UrgencyFacet]
    network: list[NetworkFacet] = Field(
        description="Appeals by phone or letter, or from other systems, have no network"
    )
    organisation: list[NamedFacet] = Field(description="At most 50")
    topic_group: list[NamedFacet] = Field(description="At most 50; filter by one of them with `topic_id`")
    municipality: list[MunicipalityFacet] = Field(description="At most 50")
