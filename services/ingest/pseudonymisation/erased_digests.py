"""Keyed digests that stand for erased people, their conversations and messages."""

from services.ingest.tokens.crypto import keyed_digest

PREFIX = "erased-"
# Advisory lock: shared for intake, exclusive for the start of an erasure and for its steps that replace ids. So
# each message of the person is committed before the erasure starts, or stored by an intake that finds the digest.
ERASURE_LOCK = int.from_bytes(b"erasures", signed=True)


def author_digest(key: str) -> str:
    """Return the digest that stands for an author after the erasure."""
    return keyed_digest("erased-author", key)


def conversation_digest(thread_key: str) -> str:
    """Return the digest that stands for a direct conversation after the erasure."""
    return keyed_digest("erased-conversation", thread_key)


def erased_thread_key(thread_key: str) -> str:
    """Return the replacement of an erased direct conversation's thread key."""
    return PREFIX + conversation_digest(thread_key)[:32]


def erased_external_id(network: str, external_id: str) -> str:
    """Return the replacement of a message's network id in an erased direct conversation. Idempotent."""
    if external_id.startswith(PREFIX):
        return external_id
    return PREFIX + keyed_digest(f"erased-message:{network}", external_id)[:32]
