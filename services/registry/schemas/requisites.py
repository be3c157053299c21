"""Fields that identify a body and say how to reach it: numbers with check digits, dates, contacts."""

from collections.abc import Callable
from datetime import date
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, HttpUrl, TypeAdapter

from services.registry.schemas.fields import Line
from services.registry.schemas.tax_numbers import inn_fault, ogrn_fault

_url = TypeAdapter(HttpUrl)


def _checked(fault: Callable[[str], str | None]) -> AfterValidator:
    def check(value: str) -> str:
        if found := fault(value):
            raise ValueError(found)
        return value

    return AfterValidator(check)


def _http(value: str) -> str:
    _url.validate_python(value)
    return value


def _trimmed(value: object) -> object:
    return value.strip() if isinstance(value, str) else value


Inn = Annotated[
    str,
    _checked(inn_fault),
    Field(
        pattern=r"^([0-9]{10}|[0-9]{12})$",
        description="ИНН with its check digits; branches share one, so it may repeat",
        examples=["0323011754"],
    ),
]
Ogrn = Annotated[
    str,
    _checked(ogrn_fault),
    Field(
        pattern=r"^([0-9]{13}|[0-9]{15})$",
        description="ОГРН with its check digit",
        examples=["1020300904326"],
    ),
]
FullOktmo = Annotated[
    str,
    Field(
        pattern=r"^([0-9]{8}|[0-9]{11})$",
        description="ОКТМО of the place itself, 8 or 11 digits; lies in `municipality` if that is given",
        examples=["81701000001"],
    ),
]
Day = Annotated[date, Field(ge=date(1700, 1, 1), le=date(2999, 12, 31), examples=["2024-01-01"])]
Address = Annotated[
    Line,
    BeforeValidator(_trimmed),
    Field(min_length=1, max_length=500, examples=["670000, г. Улан-Удэ, ул. Ленина, 54"]),
]
Phone = Annotated[
    Line, BeforeValidator(_trimmed), Field(min_length=1, max_length=100, examples=["8 (3012) 00-00-00"])
]
Email = Annotated[
    Line,
    BeforeValidator(_trimmed),
    Field(max_length=254, pattern=r"^[^@\s]+@[^@\s.]+(\.[^@\s.]+)+$", examples=["info@example.org"]),
]
Site = Annotated[
    Line,
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
Ground = Annotated[Line, BeforeValidator(_trimmed), Field(min_length=1, max_length=500)]
