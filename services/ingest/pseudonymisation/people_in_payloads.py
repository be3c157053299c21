"""Find the people to whom a network's payload refers, whether or not it can be parsed."""

import re
from typing import Any

# Fields that refer to people or communities. Elsewhere, ids of comments and counts may equal a person's id.
_PERSON = re.compile(r"user|from|author|peer|owner|signer|deleter|sender|member|profile|uid|_by$", re.IGNORECASE)
_NUMBER = re.compile(r"[0-9]+")


def people_in(payload: Any) -> set[str]:
    """Return the numbers in those fields of a payload that refer to people or communities."""
    found: set[str] = set()
    left: list[tuple[str, Any]] = [("", payload)]
    while left:
        name, value = left.pop()
        if isinstance(value, dict):
            # The field "id" of a nested object stands for the field that contains the object.
            left.extend((name if inner == "id" else str(inner), one) for inner, one in value.items())
        elif isinstance(value, list | tuple):
            left.extend((name, one) for one in value)
        elif _PERSON.search(name) and isinstance(value, str | int):
            found.update(_NUMBER.findall(str(value)) if not isinstance(value, int) or value > 0 else ())
    return found


def number_of(native_id: str) -> str:
    """Return a person's network id without the prefix that some networks add."""
    return native_id.rpartition(":")[2]
