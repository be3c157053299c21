"""Find the people to whom a network's payload refers, whether or not it can be parsed."""

import re
from functools import lru_cache
from typing import Any

from services.ingest.pseudonymisation.author_keys import author_key
from services.ingest.pseudonymisation.erased_digests import author_digest
from shared.text.person_links import linked_in

# Fields that refer to people or communities. Elsewhere, ids of comments and counts may equal a person's id. In OK,
# `reply_to_id` is the author of the answered comment.
_PERSON = re.compile(
    r"user|from|author|peer|owner|signer|deleter|sender|member|profile|participant|uid|_by$|reply_to_(?!comment)",
    re.IGNORECASE,
)
# Counts and flags, which are not ids, are in fields with such names: `members_count`, `user_likes`, `is_member`.
_COUNT = re.compile(r"_(?:count|likes|reposted)$|^(?:is|can)_", re.IGNORECASE)
# Ids of communities are negative in VK, and have another prefix in OK.
_NUMBER = re.compile(r"(?<![0-9])(?<!(?<!\w)-)(?<!group:)[0-9]+")
# OK lists the people of a chat as names of fields: `{"user:1": …}`.
_USER = "user:"
# `likes` is either a list of the ids of people or a number, which is a count.
_LIKES, _LIKED_BY = "likes", "liked_by"
_CONTAINED = frozenset({"id", "items"})


@lru_cache(maxsize=2_000)
def _is_of_person(field: str) -> bool:
    return _PERSON.search(field) is not None and _COUNT.search(field) is None


def people_in(payload: Any) -> set[str]:
    """Return the numbers of a payload that refer to people or communities: in fields of people, and in links in
    its texts.
    """
    found: set[str] = set()
    left: list[tuple[str, Any]] = [("", payload)]
    while left:
        name, value = left.pop()
        if isinstance(value, dict):
            for inner, one in value.items():
                field = str(inner)
                if field.startswith(_USER):
                    found.update(_NUMBER.findall(field))
                    field = name
                # The fields "id" and "items" of a nested object stand for the field that contains the object.
                left.append((name if field in _CONTAINED else field, one))
        elif isinstance(value, list | tuple):
            left.extend((_LIKED_BY if name == _LIKES else name, one) for one in value)
        elif isinstance(value, str | int) and _is_of_person(name):
            found.update(_NUMBER.findall(str(value)) if not isinstance(value, int) or value > 0 else ())
        elif isinstance(value, str):
            found |= linked_in(value)
    return found


def digests_of_people(network: str, payload: Any, *, author: str | None = None) -> dict[str, str]:
    """Return the numbers of the people to whom a payload may refer, except its author's, by digest.

    `author`: the author's network id. Ids are tried with and without OK's prefix.
    """
    numbers = people_in(payload) - ({number_of(author)} if author is not None else set())
    return {digest: number for number in numbers for digest in digests_of_number(network, number)}


def digests_of_number(network: str, number: str) -> tuple[str, str]:
    """Return the digests of the person with this number: without OK's prefix, and with it."""
    return (
        author_digest(author_key(network, number)),
        author_digest(author_key(network, f"{_USER}{number}")),
    )


def number_of(native_id: str) -> str:
    """Return a person's network id without the prefix that some networks add."""
    return native_id.rpartition(":")[2]
