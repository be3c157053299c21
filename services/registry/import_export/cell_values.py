"""From the text of a cell to the value of a field, and back."""

import re
from collections.abc import Callable, Iterable
from datetime import date, datetime, time
from typing import Any
from uuid import UUID

from services.registry.import_export.cell_errors import InvalidCellValue
from services.registry.persistence.sort_keys import sort_key
from services.registry.schemas.fields import OrganisationKind
from shared.clock import REGION_ZONE

_DOTTED = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})")
_ROUNDED = re.compile(r"\d{1,20}[.,]?\d{0,20}[eе]\+?\d{1,4}", re.IGNORECASE)
_DATED = re.compile(r"^(?P<name>.*\S)\s*\[(?P<start>[\d.-]*)/(?P<end>[\d.-]*)\]$")

YES_WORDS = frozenset({"true", "1", "да", "действует", "действующая", "активна", "активен", "ведется", "yes", "+"})
NO_WORDS = frozenset(
    {"false", "0", "нет", "не действует", "ликвидирована", "ликвидирован", "закрыта", "не ведется", "no", "-"}
)
KIND_LABELS = {
    "regional": "региональный орган",
    "municipality": "орган местного самоуправления",
    "institution": "учреждение",
    "court": "суд",
    "other": "иное",
}
KIND_BY_WORD = {
    **{kind.value: kind.value for kind in OrganisationKind},
    **{title: kind for kind, title in KIND_LABELS.items()},
    "регион": "regional",
    "муниципалитет": "municipality",
    "мо": "municipality",
    "омсу": "municipality",
    "подведомственная организация": "institution",
    "другое": "other",
}
# «Уровень» of other registries is the level of the founder; a body under one is an institution of it.
KIND_BY_LEVEL = {
    "регион": "regional",
    "министерство": "regional",
    "ведомство": "regional",
    "мо": "municipality",
    "узкоспециальные": "other",
}

Value = Any


def _chosen(values: dict[str, str]) -> Callable[[str], str]:
    def read(text: str) -> str:
        chosen = values.get(sort_key(text))
        if chosen is None:
            raise InvalidCellValue(f"is none of {', '.join(values)}")
        return chosen

    return read


def parse_bool(text: str) -> bool:
    """A yes or a no, as registries write it."""
    word = sort_key(text)
    if word not in YES_WORDS | NO_WORDS:
        raise InvalidCellValue("is neither yes nor no: write «да» or «нет»")
    return word in YES_WORDS


def parse_date(text: str) -> date:
    """A day: 2026-01-31 or 31.01.2026; a time of day after it does not matter."""
    bare = re.split("[T ]", text, maxsplit=1)[0]
    try:
        if matched := _DOTTED.fullmatch(bare):
            return date(int(matched[3]), int(matched[2]), int(matched[1]))
        return date.fromisoformat(bare)
    except ValueError as error:
        raise InvalidCellValue("is no day: write 2026-01-31 or 31.01.2026") from error


def parse_datetime(text: str) -> datetime:
    """A moment or a day, which begins at midnight; without an offset it is the region's."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        parsed = datetime.combine(parse_date(text), time())
    return parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=REGION_ZONE)


def digits_parser(*widths: int) -> Callable[[str], str]:
    """A number kept as text. Spreadsheets drop the zeros in front: one that lacks a single zero gets it back."""

    def read(text: str) -> str:
        bare = re.sub(r"\s", "", text)
        if _ROUNDED.fullmatch(bare):
            raise InvalidCellValue("was rounded by a spreadsheet: format the column as text and enter it again")
        return bare.zfill(len(bare) + 1) if bare.isdecimal() and len(bare) + 1 in widths else bare

    return read


DatedName = tuple[str, date | None, date | None]


def parse_names(text: str) -> list[DatedName]:
    """Names, one a line, each with the days it was valid as «[2010-01-01/2019-12-31]» when they are known."""
    dated_names: list[DatedName] = []
    for line in text.splitlines():
        name, start, end = line.strip(), "", ""
        if dated := _DATED.match(name):
            name, start, end = dated["name"], dated["start"], dated["end"]
        if name:
            dated_names.append((name, parse_date(start) if start else None, parse_date(end) if end else None))
    return dated_names


def format_names(dated_names: Iterable[DatedName]) -> str:
    """The inverse of `names`."""
    return "\n".join(
        _written_name(*dated_name)
        for dated_name in sorted(dated_names, key=lambda dated_name: tuple(map(str, dated_name)))
    )


def _written_name(name: str, start: date | None, end: date | None) -> str:
    if start is None and end is None and not _DATED.match(name):
        return name
    return f"{name} [{format_cell(start)}/{format_cell(end)}]"


def _code(text: str) -> str:
    return text.lower()


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise InvalidCellValue("is no id: the column is for files that this system wrote") from error


PARSERS: dict[str, Callable[[str], Value]] = {
    "id": _id,
    "code": _code,
    "kind": _chosen(KIND_BY_WORD),
    "level": _chosen(KIND_BY_LEVEL),
    "inn": digits_parser(10, 12),
    "ogrn": digits_parser(),
    "oktmo": digits_parser(8, 11),
    "valid_from": parse_date,
    "valid_to": parse_date,
    "active": parse_bool,
    "aliases": parse_names,
    "former_names": parse_names,
    "external_id": digits_parser(),
    "live_from": parse_datetime,
}


def parse_cell(field: str, text: str) -> Value:
    """The value of a cell that is not empty. Raises `BadCell`."""
    reader = PARSERS.get(field)
    return text if reader is None else reader(text)


def format_cell(value: Any) -> str:
    """A value as the text of a cell; what `read` makes of it is the value again."""
    match value:
        case None:
            return ""
        case bool():
            return "да" if value else "нет"
        case datetime():
            return value.astimezone(REGION_ZONE).isoformat()
        case date():
            return value.isoformat()
        case _:
            return str(value)
