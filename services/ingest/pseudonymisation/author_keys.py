"""Pseudonyms of authors: a keyed digest replaces the network's id of a person wherever appeals refer to them."""

from services.ingest.tokens.crypto import keyed_digest


def author_key(network: str, native_id: str) -> str:
    """Return the pseudonym of an author: stable per person, and not reversible without the key.

    The key is `GOSPABLIK_PSEUDONYM_KEY`; a different key gives every author a new pseudonym.
    """
    return keyed_digest(f"author:{network}", native_id)
