"""From the text of a cell to the value of a field, and back."""

import re
from collections.abc import Callable, Iterable
from datetime import date, datetime, time
from typing import Any
from uuid import UUID

from services.registry.import_export.cell_errors import BadCell
from services.registry.persistence.sort_keys import sort_key
from services.registry.schemas.fields import OrganisationKind
from shared.clock import REGION_ZONE

_DOTTED = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})")
_ROUNDED = re.compile(r"\d{1,20}[.,]?\d{0,20}[eе]\+?\d{1,4}", re.IGNORECASE)
_DATED = re.compile(r"^(?P<name>.*\S)\s*\[(?P<start>[\d.-]*)/(?P<end>[\d.-]*)\]$")

YES = frozenset({"true", "1", "да", "действует", "действующая", "активна", "активен", "ведется", "yes", "+"})
NO = frozenset(
    {"false", "0", "нет", "не действует", "ликвидирована", "ликвидирован", "закрыта", "не ведется", "no", "-"}
)
KIND_TITLES = {
    "regional": "региональный орган",
    "municipality": "орган местного самоуправления",
    "institution": "учреждение",
    "court": "суд",
    "other": "иное",
}
KINDS = {
    **{kind.value: kind.value for kind in OrganisationKind},
    **{title: kind for kind, title in KIND_TITLES.items()},
    "регион": "regional",
    "муниципалитет": "municipality",
    "мо": "municipality",
    "омсу": "municipality",
    "подведомственная организация": "institution",
    "другое": "other",
}
# «Уровень» of other registries is the level of the founder; a body under one is an institution of it.
LEVELS = {
    "регион": "regional",
    "министерство": "regional",
    "ведомство": "regional",
    "мо": "municipality",
    "узкоспециальные": "other",
}

Value = Any


def _chosen(values: dict[str, str]) -> Callable[[str], str]:
    def read(text: str) -> str:
        found = values.get(sort_key(text))
        if found is None:
            raise BadCell(f"is none of {', '.join(values)}")
        return found

    return read


def yes_or_no(text: str) -> bool:
    """A yes or a no, as registries write it."""
    word = sort_key(text)
    if word not in YES | NO:
        raise BadCell("is neither yes nor no: write «да» or «нет»")
    return word in YES


def day(text: str) -> date:
    """A day: 2026-01-31 or 31.01.2026; a time of day after it does not matter."""
    bare = re.split("[T ]", text, maxsplit=1)[0]
    try:
        if found := _DOTTED.fullmatch(bare):
            return date(int(found[3]), int(found[2]), int(found[1]))
        return date.fromisoformat(bare)
    except ValueError as error:
        raise BadCell("is no day: write 2026-01-31 or 31.01.2026") from error


def moment(text: str) -> datetime:
    """A moment or a day, which begins at midnight; without an offset it is the region's."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = datetime.combine(day(text), time())
    return found if found.tzinfo is not None else found.replace(tzinfo=REGION_ZONE)


def digits(*widths: int) -> Callable[[str], str]:
    """A number kept as text. Spreadsheets drop the zeros in front: one that lacks a single zero gets it back."""

    def read(text: str) -> str:
        bare = re.sub(r"\s", "", text)
        if _ROUNDED.fullmatch(bare):
            raise BadCell("was rounded by a spreadsheet: format the column as text and enter it again")
        return bare.zfill(len(bare) + 1) if bare.isdecimal() and len(bare) + 1 in widths else bare

    return read


Dated = tuple[str, date | None, date | None]


def names(text: str) -> list[Dated]:
    """Names, one a line, each with the days it was valid as «[2010-01-01/2019-12-31]» when they are known."""
    found: list[Dated] = []
    for line in text.splitlines():
        name, start, end = line.strip(), "", ""
        if dated := _DATED.match(name):
            name, start, end = dated["name"], dated["start"], dated["end"]
        if name:
            found.append((name, day(start) if start else None, day(end) if end else None))
    return found


def written_names(given: Iterable[Dated]) -> str:
    """The inverse of `names`."""
    return "\n".join(_written_name(*one) for one in sorted(given, key=lambda one: tuple(map(str, one))))


def _written_name(name: str, start: date | None, end: date | None) -> str:
    if start is None and end is None and not _DATED.match(name):
        return name
    return f"{name} [{written(start)}/{written(end)}]"


def _code(text: str) -> str:
    return text.lower()


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise BadCell("is no id: the column is for files that this system wrote") from error


READERS: dict[str, Callable[[str], Value]] = {
    "id": _id,
    "code": _code,
    "kind": _chosen(KINDS),
    "level": _chosen(LEVELS),
    "inn": digits(10, 12),
    "ogrn": digits(),
    "oktmo": digits(8, 11),
    "valid_from": day,
    "valid_to": day,
    "active": yes_or_no,
    "aliases": names,
    "former_names": names,
    "external_id": digits(),
    "live_from": moment,
}


def read(field: str, text: str) -> Value:
    """The value of a cell that is not empty. Raises `BadCell`."""
    reader = READERS.get(field)
    return text if reader is None else reader(text)


def written(value: Any) -> str:
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
