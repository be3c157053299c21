"""Find the people to whom a network's payload refers, whether or not it can be parsed."""

import re
from functools import lru_cache
from typing import Any

from services.ingest.pseudonymisation.author_keys import author_key
from services.ingest.pseudonymisation.erased_digests import author_digest

# Fields that refer to people or communities. Elsewhere, ids of comments and counts may equal a person's id. In OK,
# `reply_to_id` is the author of the answered comment.
_PERSON = re.compile(
    r"user|from|author|peer|owner|signer|deleter|sender|member|profile|participant|uid|_by$|reply_to_(?!comment)",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"[0-9]+")
# OK lists the people of a chat as names of fields: `{"user:1": …}`.
_USER = "user:"


@lru_cache(maxsize=2_000)
def _is_of_person(field: str) -> bool:
    return _PERSON.search(field) is not None


def people_in(payload: Any) -> set[str]:
    """Return the numbers in those fields of a payload that refer to people or communities."""
    found: set[str] = set()
    left: list[tuple[str, Any]] = [("", payload)]
    while left:
        name, value = left.pop()
        if isinstance(value, dict):
            for inner, one in value.items():
                field = str(inner)
                if field.startswith(_USER):
                    found.add(field.removeprefix(_USER))
                    field = name
                # The field "id" of a nested object stands for the field that contains the object.
                left.append((name if field == "id" else field, one))
        elif isinstance(value, list | tuple):
            left.extend((name, one) for one in value)
        elif isinstance(value, str | int) and _is_of_person(name):
            found.update(_NUMBER.findall(str(value)) if not isinstance(value, int) or value > 0 else ())
    return found


def digests_of_people(network: str, payload: Any, *, author: str | None = None) -> set[str]:
    """Return the digests of the people to whom a payload may refer, except its author (`author`: a network id).

    Ids are tried with and without OK's prefix.
    """
    numbers = people_in(payload) - ({number_of(author)} if author is not None else set())
    return {
        author_digest(author_key(network, native_id))
        for number in numbers
        for native_id in (number, f"user:{number}")
    }


def number_of(native_id: str) -> str:
    """Return a person's network id without the prefix that some networks add."""
    return native_id.rpartition(":")[2]
