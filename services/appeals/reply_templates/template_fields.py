"""Fields of reply templates, such as `{имя}`: the closed list, and functions to find and fill them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

# The meaning of each field. `{имя}` is never filled: only ingest knows the name of a citizen.
TEMPLATE_FIELDS: Mapping[str, str] = {
    "имя": "как обратиться к гражданину; вписывает автор ответа",
    "номер": "номер обращения",
    "организация": "название организации, которая отвечает",
    "тема": "тема обращения",
    "срок": "дата, к которой нужен окончательный ответ",
}
_FIELD = re.compile(r"\{([^{}\n]{1,40})\}")


@dataclass(frozen=True)
class FieldMatch:
    """A field in a text; `known`: it is in the list."""

    name: str
    start: int
    end: int
    known: bool


def find_fields(text: str) -> Iterator[FieldMatch]:
    """Yield the fields of a text in order."""
    for match in _FIELD.finditer(text):
        name = match[1].strip().lower()
        yield FieldMatch(name, match.start(), match.end(), name in TEMPLATE_FIELDS)


def template_errors(text: str) -> list[str]:
    """Return descriptions of the errors in the fields of a template; empty if there are none."""
    names = ", ".join(f"{{{name}}}" for name in TEMPLATE_FIELDS)
    errors = [f"Unknown field {{{field.name}}}. Known: {names}" for field in find_fields(text) if not field.known]
    rest = _FIELD.sub("", text)
    if "{" in rest or "}" in rest:
        errors.append("A brace has no counterpart: a field is written {…}")
    return errors


def fill_fields(text: str, values: Mapping[str, str | None]) -> tuple[str, tuple[str, ...]]:
    """Return the text with the fields replaced by their values, and the names of fields without a value."""
    missing: list[str] = []

    def value_of(match: re.Match[str]) -> str:
        name = match[1].strip().lower()
        value = values.get(name)
        if value is not None:
            return value
        if name in TEMPLATE_FIELDS and name not in missing:
            missing.append(name)
        return match[0]

    return _FIELD.sub(value_of, text), tuple(missing)
