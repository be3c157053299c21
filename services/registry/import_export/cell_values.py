"""Conversion between the text of a cell and the value of a field."""

import re
from collections.abc import Callable, Iterable
from datetime import date, datetime, time
from typing import Any
from uuid import UUID

from services.registry.import_export.cell_errors import InvalidCellValue
from shared.clock import REGION_TIME_ZONE
from shared.contracts.values import OrganisationKind
from shared.text.normalize import sort_key

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
# In other registries, «Уровень» is the level of the founder; an organisation with a founder is an institution.
KIND_BY_LEVEL = {
    "регион": "regional",
    "министерство": "regional",
    "ведомство": "regional",
    "мо": "municipality",
    "узкоспециальные": "other",
}


def _chosen(values: dict[str, str]) -> Callable[[str], str]:
    def read(text: str) -> str:
        chosen = values.get(sort_key(text))
        if chosen is None:
            raise InvalidCellValue(f"is not one of {', '.join(values)}")
        return chosen

    return read


def parse_bool(text: str) -> bool:
    """Return the boolean for a yes or no as registries write it."""
    word = sort_key(text)
    if word not in YES_WORDS | NO_WORDS:
        raise InvalidCellValue("is neither yes nor no: write «да» or «нет»")
    return word in YES_WORDS


def parse_date(text: str) -> date:
    """Return a date from 2026-01-31 or 31.01.2026; a time of day after it is ignored."""
    bare = re.split("[T ]", text, maxsplit=1)[0]
    try:
        if matched := _DOTTED.fullmatch(bare):
            return date(int(matched[3]), int(matched[2]), int(matched[1]))
        return date.fromisoformat(bare)
    except ValueError as error:
        raise InvalidCellValue("is not a date: write 2026-01-31 or 31.01.2026") from error


def parse_datetime(text: str) -> datetime:
    """Return a time, for a bare date its midnight; without an offset it is in the region's time zone."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        parsed = datetime.combine(parse_date(text), time())
    return parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=REGION_TIME_ZONE)


def digits_parser(*widths: int) -> Callable[[str], str]:
    """Return a parser of digits kept as text, which restores one leading zero that a spreadsheet dropped."""

    def read(text: str) -> str:
        bare = re.sub(r"\s", "", text)
        if _ROUNDED.fullmatch(bare):
            raise InvalidCellValue("was rounded by a spreadsheet: format the column as text and enter it again")
        return bare.zfill(len(bare) + 1) if bare.isdecimal() and len(bare) + 1 in widths else bare

    return read


DatedName = tuple[str, date | None, date | None]


def parse_names(text: str) -> list[DatedName]:
    """Return the names in a cell: one per line, with its validity as «[2010-01-01/2019-12-31]» if known."""
    dated_names: list[DatedName] = []
    for line in text.splitlines():
        name, start, end = line.strip(), "", ""
        if dated := _DATED.match(name):
            name, start, end = dated["name"], dated["start"], dated["end"]
        if name:
            dated_names.append((name, parse_date(start) if start else None, parse_date(end) if end else None))
    return dated_names


def format_names(dated_names: Iterable[DatedName]) -> str:
    """Return the text from which `parse_names` reads the same names."""
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
        raise InvalidCellValue(
            "is not an id: leave the cell empty, or copy the id from an exported file"
        ) from error


PARSERS: dict[str, Callable[[str], Any]] = {
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
    "go_live_at": parse_datetime,
}


def parse_cell(field: str, text: str) -> Any:
    """Return the value of a non-empty cell. Raises `InvalidCellValue` if the text is invalid for the field."""
    reader = PARSERS.get(field)
    return text if reader is None else reader(text)


def format_cell(value: Any) -> str:
    """Return a value as the text of a cell, from which `parse_cell` reads the same value."""
    match value:
        case None:
            return ""
        case bool():
            return "да" if value else "нет"
        case datetime():
            return value.astimezone(REGION_TIME_ZONE).isoformat()
        case date():
            return value.isoformat()
        case _:
            return str(value)
