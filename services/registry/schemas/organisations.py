"""API models of organisations and municipalities."""

from datetime import date, datetime
from enum import StrEnum
from typing import Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from typing_extensions import TypeAliasType

from services.registry.schemas.fields import (
    EXAMPLE_ID,
    Code,
    Email,
    HistoricalDate,
    Inn,
    LegalGround,
    LocationOktmo,
    MunicipalityOktmo,
    Name,
    Ogrn,
    Phone,
    PosOpaId,
    PostalAddress,
    ShortName,
    Site,
    Sphere,
    StrictModel,
    UpdateModel,
)
from shared.contracts.values import OrganisationKind

OTHER_SPHERES = "Up to two more, besides `sphere`"
VALID_FROM = "The first day of its existence; null: not known"
VALID_TO = "The last day of its existence; after that day it is deactivated automatically"
EXEMPT_REASON = (
    "Legal ground of its exemption from keeping a page («официальная страница не ведётся на основании»)"
)
MunicipalityKind = TypeAliasType("MunicipalityKind", Literal["district", "city"])
AddedNameKind = TypeAliasType("AddedNameKind", Literal["former", "alias"])
EXEMPT_DOCUMENT = "The document about the exemption; only together with a ground"


class Municipality(BaseModel):
    """A district or city of the region."""

    model_config = ConfigDict(from_attributes=True)

    oktmo: MunicipalityOktmo
    name: str = Field(examples=["город Улан-Удэ"])
    kind: MunicipalityKind = Field(examples=["city"])


class OrganisationCreate(StrictModel):
    """An organisation that answers citizens."""

    name: Name
    short_name: ShortName | None = None
    code: Code | None = None
    kind: OrganisationKind = Field(examples=["institution"])
    sphere: Sphere | None = None
    other_spheres: list[Sphere] = Field(default=[], max_length=2, description=OTHER_SPHERES)
    municipality: MunicipalityOktmo | None = None
    oktmo: LocationOktmo | None = None
    inn: Inn | None = None
    ogrn: Ogrn | None = None
    address: PostalAddress | None = None
    phone: Phone | None = None
    email: Email | None = None
    site: Site | None = None
    pos_opa_id: PosOpaId | None = None
    parent_id: UUID | None = Field(
        default=None, description="The organisation it is subordinate to", examples=[EXAMPLE_ID]
    )
    calendar_id: UUID | None = Field(
        default=None, description="Its own working calendar; null: the region's", examples=[None]
    )
    valid_from: HistoricalDate | None = Field(default=None, description=VALID_FROM)
    valid_to: HistoricalDate | None = Field(default=None, description=VALID_TO, examples=[None])
    exempt_reason: LegalGround | None = Field(default=None, description=EXEMPT_REASON, examples=[None])
    exempt_document: LegalGround | None = Field(default=None, description=EXEMPT_DOCUMENT, examples=[None])


class OrganisationUpdate(UpdateModel):
    """Fields to change; those left out are kept, null resets a nullable field."""

    name: Name | None = None
    short_name: ShortName | None = None
    code: Code | None = None
    kind: OrganisationKind | None = Field(default=None, examples=["institution"])
    sphere: Sphere | None = None
    other_spheres: list[Sphere] | None = Field(default=None, max_length=2, description=OTHER_SPHERES)
    municipality: MunicipalityOktmo | None = None
    oktmo: LocationOktmo | None = None
    inn: Inn | None = None
    ogrn: Ogrn | None = None
    address: PostalAddress | None = None
    phone: Phone | None = None
    email: Email | None = None
    site: Site | None = None
    pos_opa_id: PosOpaId | None = None
    parent_id: UUID | None = Field(default=None, examples=[EXAMPLE_ID])
    calendar_id: UUID | None = Field(default=None, examples=[None])
    valid_from: HistoricalDate | None = Field(default=None, description=VALID_FROM)
    valid_to: HistoricalDate | None = Field(default=None, description=VALID_TO, examples=[None])
    exempt_reason: LegalGround | None = Field(default=None, description=EXEMPT_REASON, examples=[None])
    exempt_document: LegalGround | None = Field(default=None, description=EXEMPT_DOCUMENT, examples=[None])
    active: bool | None = Field(default=None, description="false: it no longer exists, or no longer answers")

    @classmethod
    def nullable(cls) -> frozenset[str]:
        """Return all fields except name, kind, other_spheres and active."""
        return frozenset(cls.model_fields) - {"name", "kind", "other_spheres", "active"}


class Organisation(BaseModel):
    """An organisation of the registry, as the API returns it."""

    id: UUID = Field(examples=[EXAMPLE_ID])
    version: int = Field(description="Send it in `If-Match` of a change", examples=[1])
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
    time_zone: str = Field(description="Time zone of its working calendar", examples=["Asia/Irkutsk"])
    valid_from: date | None = Field(description=VALID_FROM, examples=["2016-09-01"])
    valid_to: date | None = Field(description=VALID_TO, examples=[None])
    exempt_reason: str | None = Field(description=EXEMPT_REASON, examples=[None])
    exempt_document: str | None = Field(examples=[None])
    active: bool
    created_at: datetime
    updated_at: datetime

    @classmethod
    def from_row(cls, row: Any, time_zone: str) -> Self:
        """Return the API model of a row."""
        values = {name: getattr(row, name) for name in cls.model_fields if name != "time_zone"}
        return cls(**values, time_zone=time_zone)


class OrganisationNameKind(StrEnum):
    """Kinds of names of an organisation."""

    OFFICIAL = "official"
    SHORT = "short"
    FORMER = "former"
    ALIAS = "alias"


class OrganisationNameCreate(StrictModel):
    """A former name or an alias."""

    kind: AddedNameKind = Field(examples=["alias"])
    name: Name
    valid_from: HistoricalDate | None = Field(default=None, description="First day of validity; null: not known")
    valid_to: HistoricalDate | None = Field(
        default=None, description="Last day of validity; null: not known, or still valid"
    )

    @field_validator("valid_to")
    @classmethod
    def _not_before(cls, value: date | None, info: ValidationInfo) -> date | None:
        begins = info.data.get("valid_from")
        if value is not None and begins is not None and value < begins:
            raise ValueError("the last day is before the first")
        return value


class OrganisationName(BaseModel):
    """A name of an organisation. `official` and `short` are the current ones."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID = Field(examples=[EXAMPLE_ID])
    organisation_id: UUID = Field(examples=[EXAMPLE_ID])
    kind: OrganisationNameKind
    name: str = Field(examples=["Школа № 71 города Улан-Удэ"])
    valid_from: date | None = Field(examples=["2016-09-01"])
    valid_to: date | None = Field(examples=[None])
    created_at: datetime


class OrganisationSearchHit(BaseModel):
    """A search result with its best matching name and the score (1: exact)."""

    id: UUID = Field(examples=[EXAMPLE_ID])
    code: str | None = Field(examples=["school71-ulanude"])
    name: str = Field(examples=["Школа № 71 города Улан-Удэ"])
    kind: OrganisationKind
    municipality: str | None = Field(examples=["81701000"])
    active: bool
    matched_name: str = Field(description="The best matching name", examples=["МАОУ «СОШ № 71 г. Улан-Удэ»"])
    matched_name_kind: OrganisationNameKind
    score: float = Field(ge=0, le=1, examples=[0.93])


class OrganisationSearchResults(BaseModel):
    """Search results, best first."""

    items: list[OrganisationSearchHit]
