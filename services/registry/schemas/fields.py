"""Field types and base classes that several schemas share."""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    HttpUrl,
    TypeAdapter,
    field_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from services.registry.schemas.tax_numbers import inn_error, ogrn_error
from shared.text.single_line import single_line

EXAMPLE_ID = "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"


def storable(value: str | None) -> str | None:
    """Return the value. Raises `ValueError` for NUL, which Postgres can neither store nor compare."""
    if value is not None and "\x00" in value:
        raise ValueError("the character NUL is not allowed")
    return value


def _stripped(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value


def _bounded(value: datetime) -> datetime:
    # Other years could overflow datetime in conversions between time zones.
    if not 1970 <= value.year <= 9000:
        raise ValueError("the year must be from 1970 to 9000")
    return value


SingleLine = Annotated[str, AfterValidator(single_line)]
Name = Annotated[
    SingleLine,
    BeforeValidator(_stripped),
    Field(min_length=1, max_length=500, examples=["Школа № 71 города Улан-Удэ"]),
]
ShortName = Annotated[
    SingleLine, BeforeValidator(_stripped), Field(min_length=1, max_length=200, examples=["Школа № 71"])
]
Code = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$",
        description="The region's own short code, unique",
        examples=["school71-ulanude"],
    ),
]
Sphere = Annotated[
    SingleLine, BeforeValidator(_stripped), Field(min_length=1, max_length=100, examples=["образование"])
]
MunicipalityOktmo = Annotated[
    str,
    Field(
        pattern=r"^[0-9]{8}$",
        description="OKTMO code of the district or city, as in `GET /municipalities`",
        examples=["81701000"],
    ),
]
Moment = Annotated[AwareDatetime, AfterValidator(_bounded), Field(examples=["2026-11-25T09:00:00+08:00"])]


class OrganisationRef(BaseModel):
    """An organisation by id and name."""

    id: UUID = Field(examples=[EXAMPLE_ID])
    name: str = Field(examples=["Школа № 71 города Улан-Удэ"])

    @staticmethod
    def of(organisation_id: UUID | None, names: Mapping[UUID, str]) -> "OrganisationRef | None":
        """Return the organisation with its name; None if the id is None."""
        if organisation_id is None:
            return None
        return OrganisationRef(id=organisation_id, name=names[organisation_id])


class StrictModel(BaseModel):
    """A request body. Unknown fields are rejected, so that a misspelt field is not silently ignored."""

    model_config = ConfigDict(extra="forbid")


class UpdateModel(StrictModel):
    """Fields to change; those left out are kept. Fields in `nullable` may be reset with null."""

    @field_validator("*", mode="before")
    @classmethod
    def _given(cls, value: object, info: Any) -> object:
        if value is None and info.field_name not in cls.nullable():
            raise ValueError("null is not allowed here: leave the field out to keep its value")
        return value

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        # The default null means «left out»; only nullable fields may be null in a request.
        schema = handler(core_schema)
        for name, field in handler.resolve_ref_schema(schema).get("properties", {}).items():
            if name in cls.nullable() or "anyOf" not in field:
                continue
            (kind,) = [part for part in field.pop("anyOf") if part.get("type") != "null"]
            field.update(kind | field)
            field.pop("default", None)
        return schema

    @classmethod
    def nullable(cls) -> frozenset[str]:
        """Return the fields that may be reset with null."""
        return frozenset()

    def given_values(self) -> dict[str, Any]:
        """Return the fields that the request contains."""
        return {name: getattr(self, name) for name in self.model_fields_set}


_url = TypeAdapter(HttpUrl)


def _checked(fault: Callable[[str], str | None]) -> AfterValidator:
    def check(value: str) -> str:
        if error := fault(value):
            raise ValueError(error)
        return value

    return AfterValidator(check)


def _http(value: str) -> str:
    _url.validate_python(value)
    return value


def _trimmed(value: object) -> object:
    return value.strip() if isinstance(value, str) else value


Inn = Annotated[
    str,
    _checked(inn_error),
    Field(
        pattern=r"^([0-9]{10}|[0-9]{12})$",
        description="ИНН with valid check digits; branches share one, so it need not be unique",
        examples=["0323011754"],
    ),
]
Ogrn = Annotated[
    str,
    _checked(ogrn_error),
    Field(
        pattern=r"^([0-9]{13}|[0-9]{15})$",
        description="ОГРН with a valid check digit",
        examples=["1020300904326"],
    ),
]
LocationOktmo = Annotated[
    str,
    Field(
        pattern=r"^([0-9]{8}|[0-9]{11})$",
        description="ОКТМО of the location itself, 8 or 11 digits; must belong to `municipality` if that is given",
        examples=["81701000001"],
    ),
]
HistoricalDate = Annotated[date, Field(ge=date(1700, 1, 1), le=date(2999, 12, 31), examples=["2024-01-01"])]
PostalAddress = Annotated[
    SingleLine,
    BeforeValidator(_trimmed),
    Field(min_length=1, max_length=500, examples=["670000, г. Улан-Удэ, ул. Ленина, 54"]),
]
Phone = Annotated[
    SingleLine, BeforeValidator(_trimmed), Field(min_length=1, max_length=100, examples=["8 (3012) 00-00-00"])
]
Email = Annotated[
    SingleLine,
    BeforeValidator(_trimmed),
    Field(max_length=254, pattern=r"^[^@\s]+@[^@\s.]+(\.[^@\s.]+)+$", examples=["info@example.org"]),
]
Site = Annotated[
    SingleLine,
    BeforeValidator(_trimmed),
    AfterValidator(_http),
    Field(max_length=500, examples=["https://example.org/"]),
]
PosOpaId = Annotated[
    str,
    Field(
        pattern=r"^[0-9]{1,20}$",
        description="`opaId` of its forms on the Госуслуги platform (ПОС)",
        examples=["216433"],
    ),
]
LegalGround = Annotated[SingleLine, BeforeValidator(_trimmed), Field(min_length=1, max_length=500)]
# Types of filter parameters.
NameQuery = Annotated[
    str | None,
    Field(
        max_length=200,
        description="Words of the name, in any order; case and ё/е do not matter",
        examples=["школа 71"],
    ),
    AfterValidator(storable),
]
FilterText = Annotated[str | None, Field(max_length=100), AfterValidator(storable)]
