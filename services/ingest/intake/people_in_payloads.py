"""Find the people whom a payload of a network names, whether or not it can be parsed."""

import re
from typing import Any

# Fields that say whose something is. Numbers of comments, posts and likes may equal the id of a person.
_PERSON = re.compile(r"user|from|author|peer|owner|signer|deleter|sender|member|profile|uid|_by$", re.IGNORECASE)
_NUMBER = re.compile(r"[0-9]+")


def people_in(payload: Any) -> set[str]:
    """Return the numbers in the fields of a payload that name people or communities."""
    found: set[str] = set()
    left: list[tuple[str, Any]] = [("", payload)]
    while left:
        name, value = left.pop()
        if isinstance(value, dict):
            # The field "id" of a person has the meaning of the field that the person is in.
            left.extend((name if inner == "id" else str(inner), one) for inner, one in value.items())
        elif isinstance(value, list | tuple):
            left.extend((name, one) for one in value)
        elif _PERSON.search(name) and isinstance(value, str | int):
            found.update(_NUMBER.findall(str(value)) if not isinstance(value, int) or value > 0 else ())
    return found


def number_of(native_id: str) -> str:
    """Return the number in a network's id of a person, which some networks give a prefix."""
    return native_id.rpartition(":")[2]
