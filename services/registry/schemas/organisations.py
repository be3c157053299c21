"""What crosses the wire of organisations and municipalities."""

from datetime import date, datetime
from typing import Any, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.registry.schemas.fields import (
    Change,
    Code,
    Name,
    Oktmo,
    OrganisationKind,
    ShortName,
    Sphere,
    Strict,
)
from services.registry.schemas.requisites import (
    Address,
    Day,
    Email,
    FullOktmo,
    Ground,
    Inn,
    Ogrn,
    Phone,
    PosOpaId,
    Site,
)

EXAMPLE_ID = "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"
OTHER_SPHERES = "Up to two more, besides `sphere`"
VALID_FROM = "The first day of its life as a body; null: not known"
VALID_TO = "The last day of it; once that has passed, it is made inactive by itself"
EXEMPT_REASON = "Ground on which it keeps no official page («официальная страница не ведётся на основании»)"
EXEMPT_DOCUMENT = "The document that says so; not without a ground"


class Municipality(BaseModel):
    """A district or city of the region."""

    model_config = ConfigDict(from_attributes=True)

    oktmo: Oktmo
    name: str = Field(examples=["город Улан-Удэ"])
    kind: str = Field(description="`district` or `city`", examples=["city"])


class OrganisationNew(Strict):
    """A body that answers citizens."""

    name: Name
    short_name: ShortName | None = None
    code: Code | None = None
    kind: OrganisationKind = Field(examples=["institution"])
    sphere: Sphere | None = None
    other_spheres: list[Sphere] = Field(default=[], max_length=2, description=OTHER_SPHERES)
    municipality: Oktmo | None = None
    oktmo: FullOktmo | None = None
    inn: Inn | None = None
    ogrn: Ogrn | None = None
    address: Address | None = None
    phone: Phone | None = None
    email: Email | None = None
    site: Site | None = None
    pos_opa_id: PosOpaId | None = None
    parent_id: UUID | None = Field(default=None, description="The body it belongs to", examples=[EXAMPLE_ID])
    calendar_id: UUID | None = Field(
        default=None, description="Its own working calendar; null: the region's", examples=[None]
    )
    valid_from: Day | None = Field(default=None, description=VALID_FROM)
    valid_to: Day | None = Field(default=None, description=VALID_TO, examples=[None])
    exempt_reason: Ground | None = Field(default=None, description=EXEMPT_REASON, examples=[None])
    exempt_document: Ground | None = Field(default=None, description=EXEMPT_DOCUMENT, examples=[None])


class OrganisationChange(Change):
    """Fields to change; those left out stay, null empties a field that may be empty."""

    name: Name | None = None
    short_name: ShortName | None = None
    code: Code | None = None
    kind: OrganisationKind | None = Field(default=None, examples=["institution"])
    sphere: Sphere | None = None
    other_spheres: list[Sphere] | None = Field(default=None, max_length=2, description=OTHER_SPHERES)
    municipality: Oktmo | None = None
    oktmo: FullOktmo | None = None
    inn: Inn | None = None
    ogrn: Ogrn | None = None
    address: Address | None = None
    phone: Phone | None = None
    email: Email | None = None
    site: Site | None = None
    pos_opa_id: PosOpaId | None = None
    parent_id: UUID | None = Field(default=None, examples=[EXAMPLE_ID])
    calendar_id: UUID | None = Field(default=None, examples=[None])
    valid_from: Day | None = Field(default=None, description=VALID_FROM)
    valid_to: Day | None = Field(default=None, description=VALID_TO, examples=[None])
    exempt_reason: Ground | None = Field(default=None, description=EXEMPT_REASON, examples=[None])
    exempt_document: Ground | None = Field(default=None, description=EXEMPT_DOCUMENT, examples=[None])
    active: bool | None = Field(default=None, description="false: it no longer exists or answers")

    @classmethod
    def nullable(cls) -> frozenset[str]:
        """All but name, kind, other_spheres and active."""
        return frozenset(cls.model_fields) - {"name", "kind", "other_spheres", "active"}


class Organisation(BaseModel):
    """An organisation as the registry knows it."""

    id: UUID = Field(examples=[EXAMPLE_ID])
    version: int = Field(description="Goes into `If-Match` of a change", examples=[1])
    code: str | None = Field(examples=["school71-ulanude"])
    name: str = Field(examples=["Школа № 71 города Улан-Удэ"])
    short_name: str | None = Field(examples=["Школа № 71"])
    kind: OrganisationKind
    sphere: str | None = Field(examples=["образование"])
    other_spheres: list[str] = Field(examples=[[]])
    municipality: str | None = Field(examples=["81701000"])
    oktmo: str | None = Field(examples=["81701000001"])
    inn: str | None = Field(examples=["0323011754"])
    ogrn: str | None = Field(examples=["1020300904326"])
    address: str | None = Field(examples=["670000, г. Улан-Удэ, ул. Ленина, 54"])
    phone: str | None = Field(examples=["8 (3012) 00-00-00"])
    email: str | None = Field(examples=["info@example.org"])
    site: str | None = Field(examples=["https://example.org/"])
    pos_opa_id: str | None = Field(examples=["216433"])
    parent_id: UUID | None = Field(examples=[None])
    calendar_id: UUID | None = Field(examples=[None])
    time_zone: str = Field(description="Of the calendar it works by", examples=["Asia/Irkutsk"])
    valid_from: date | None = Field(description=VALID_FROM, examples=["2016-09-01"])
    valid_to: date | None = Field(description=VALID_TO, examples=[None])
    exempt_reason: str | None = Field(description=EXEMPT_REASON, examples=[None])
    exempt_document: str | None = Field(examples=[None])
    active: bool
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: Any, time_zone: str) -> Self:
        """The row as it is shown."""
        values = {name: getattr(row, name) for name in cls.model_fields if name != "time_zone"}
        return cls(**values, time_zone=time_zone)
