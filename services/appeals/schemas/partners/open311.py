"""Schemas of Open311 GeoReport v2. The names of the fields and their values are those of the specification."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, RootModel, StringConstraints, model_validator
from typing_extensions import TypeAliasType

from services.appeals.field_types import SingleLine, StorableText
from services.appeals.moderation.manual_appeals import OPEN311_SOURCE, NewSubmission
from services.appeals.open311.service_requests import ServiceRequestStatus
from services.appeals.schemas.appeals.submissions import ContactPart, ExternalId
from services.appeals.schemas.common import _ID, RequestBody

Open311EndpointType = TypeAliasType("Open311EndpointType", Literal["production", "test"])

_TOPIC_ID = "0193f0a4-7c11-7d0e-9d5b-3f1f5a4f2b12"
# Limits of the specification.
MAX_DESCRIPTION = 4_000
MAX_ATTRIBUTES = 40

_NamePart = Annotated[SingleLine, StringConstraints(max_length=140)]
_Identifier = Annotated[SingleLine, StringConstraints(max_length=300)]
_AttributeCode = Annotated[SingleLine, StringConstraints(max_length=80)]


class Open311Error(BaseModel):
    """One error."""

    code: int = Field(description="The HTTP status", examples=[400])
    description: str = Field(
        description="What is wrong, preceded by the name of the parameter if there is one",
        examples=["end_date: The period from `start_date` must not span more than 90 days"],
    )


class Open311Errors(RootModel[list[Open311Error]]):
    """All errors of a request."""


class Open311Endpoint(BaseModel):
    """An endpoint of the specification."""

    specification: str = Field(examples=["http://wiki.open311.org/GeoReport_v2"])
    url: str = Field(examples=["https://feedback.example.ru/open311/v2"])
    changeset: str = Field(examples=["2026-12-01 00:00"])
    type: Open311EndpointType = Field(examples=["production"])
    formats: list[str] = Field(examples=[["application/json", "text/xml"]])


class Open311Discovery(BaseModel):
    """The service discovery document."""

    changeset: str = Field(examples=["2026-12-01 00:00"])
    contact: str = Field(examples=["Центр управления регионом: https://feedback.example.ru"])
    key_service: str = Field(examples=["api_key — токен доступа API-клиента: POST /api/v1/auth/token"])
    endpoints: list[Open311Endpoint]


class Open311Service(BaseModel):
    """A service: a topic of the taxonomy."""

    service_code: str = Field(description="The id of the topic", examples=[_TOPIC_ID])
    service_name: str = Field(examples=["Ямы на дорогах"])
    description: str = Field(description="What the topic includes", examples=["ямы и выбоины на проезжей части"])
    metadata: Literal[False] = Field(description="A service has no further fields")
    type: Literal["realtime"] = Field(description="The id of a request is returned at once")
    keywords: str = Field(description="Old names and the words people use", examples=["ямы, выбоины"])
    group: str = Field(description="The topic group", examples=["Дороги"])


class Open311ServiceDefinition(BaseModel):
    """The definition of a service."""

    service_code: str = Field(examples=[_TOPIC_ID])
    attributes: list[dict[str, Any]] = Field(
        description="Always empty: `metadata` of each service is false", max_length=0, examples=[[]]
    )


class Open311Request(BaseModel):
    """A service request: an appeal that the caller may read."""

    service_request_id: str = Field(description="The id of the appeal", examples=[_ID])
    status: ServiceRequestStatus = Field(examples=["open"])
    status_notes: str = Field(description="The status of the appeal and its outcome", examples=["в работе"])
    service_name: str | None = Field(description="Null: no topic yet", examples=["Ямы на дорогах"])
    service_code: str | None = Field(
        description="The id of the topic, or of the group if the topic is not known", examples=[_TOPIC_ID]
    )
    description: str = Field(
        description="The text that opened the appeal, with personal data masked",
        examples=["Когда починят дорогу на ул. Бабушкина?"],
    )
    agency_responsible: str | None = Field(
        description="The organisation that has the appeal; null: nobody yet", examples=["Комитет по строительству"]
    )
    service_notice: str | None = Field(description="Always null", examples=[None])
    requested_datetime: datetime = Field(description="When it was received")
    updated_datetime: datetime = Field(description="When it last changed; for a closed appeal, when it was closed")
    expected_datetime: datetime | None = Field(
        description="The promised date, or the deadline of the final answer"
    )
    address: str | None = Field(
        description="From house to municipality", examples=["улица Бабушкина, 20, Улан-Удэ"]
    )
    address_id: str | None = Field(description="As submitted through Open311")
    zipcode: str | None = Field(description="Always null")
    lat: float | None = Field(description="As submitted through Open311", examples=[51.8335])
    long: float | None = Field(description="As submitted through Open311", examples=[107.5841])
    media_url: str | None = Field(description="As submitted through Open311")


class Open311Receipt(BaseModel):
    """A created service request."""

    service_request_id: str = Field(examples=[_ID])
    service_notice: str = Field(examples=["Обращение зарегистрировано под № 1024"])
    account_id: str | None = Field(description="As it was sent", examples=[None])


class Open311RequestIn(RequestBody):
    """The form of `POST requests`. Empty fields count as absent."""

    jurisdiction_id: StorableText | None = None
    service_code: SingleLine
    lat: float | None = Field(default=None, ge=-90, le=90, allow_inf_nan=False)
    long: float | None = Field(default=None, ge=-180, le=180, allow_inf_nan=False)
    address_string: SingleLine | None = None
    address_id: _Identifier | None = None
    email: ContactPart | None = None
    device_id: _Identifier | None = None
    account_id: _Identifier | None = None
    first_name: _NamePart | None = None
    last_name: _NamePart | None = None
    phone: ContactPart | None = None
    description: Annotated[StorableText, StringConstraints(max_length=MAX_DESCRIPTION)] | None = None
    media_url: Annotated[SingleLine, Field(pattern=r"^https?://")] | None = None
    external_id: ExternalId | None = None
    attribute: dict[_AttributeCode, SingleLine] = Field(default_factory=dict, max_length=MAX_ATTRIBUTES)

    @model_validator(mode="after")
    def _has_location(self) -> "Open311RequestIn":
        if (self.lat is None) != (self.long is None):
            raise ValueError("Give both `lat` and `long`, or neither")
        if self.lat is None and self.address_string is None and self.address_id is None:
            raise ValueError("Give the location: `lat` and `long`, `address_string` or `address_id`")
        return self

    def text(self, service_name: str) -> str:
        """Return the text of the appeal, which people and the classifier read: the description, or else the name
        of the service, with the location.
        """
        description = (self.description or "").strip()
        lines = [description or service_name]
        if self.address_string is not None:
            lines.append(f"Адрес: {self.address_string}")
        if self.lat is not None:
            lines.append(f"Координаты: {self.lat}, {self.long}")
        return "\n".join(lines)

    def submission(self, sender: str) -> NewSubmission:
        """Return how the appeal was submitted by the caller with the id `sender`. Ids of the device and of the
        account are not kept.
        """
        names = " ".join(part for part in (self.last_name, self.first_name) if part)
        contact = {"name": names, "phone": self.phone, "email": self.email}
        given = {name: value for name, value in contact.items() if value}
        kept = {
            "lat": self.lat,
            "long": self.long,
            "address_string": self.address_string,
            "address_id": self.address_id,
        } | {f"attribute[{code}]": value for code, value in self.attribute.items()}
        metadata = {name: value for name, value in kept.items() if value is not None}
        return NewSubmission(
            source=OPEN311_SOURCE,
            # All apps have the same source, so the sender distinguishes equal ids of two apps of an organisation.
            external_id=f"{sender}:{self.external_id}" if self.external_id is not None else None,
            written_at=None,
            contact=given or None,
            metadata=metadata,
            request=metadata
            | {
                "service_code": self.service_code,
                "description": self.description,
                "media_url": self.media_url,
            },
        )
