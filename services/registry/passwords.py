"""Passwords: Argon2, computed in threads of their own so that the loop goes on."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

# Each computation takes 64 MiB and one core: two at a time bound both.
_threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="argon2")
_hasher = PasswordHasher()


async def hashed(password: str) -> str:
    """The hash to store, with its own salt and parameters in it."""
    return await asyncio.get_running_loop().run_in_executor(_threads, _hasher.hash, password)


async def matches(stored: str | None, password: str) -> bool:
    """Whether the password is the one that was hashed; takes as long when nothing is stored."""
    return await asyncio.get_running_loop().run_in_executor(_threads, _matches, stored, password)


def outdated(stored: str) -> bool:
    """Whether the hash was made with weaker parameters than today's."""
    return _hasher.check_needs_rehash(stored)


@cache
def _nobodys_hash() -> str:
    return _hasher.hash("no password matches this on purpose")


def _matches(stored: str | None, password: str) -> bool:
    # An unknown name costs the same time as a known one, or the answer's delay would tell names.
    try:
        verified = _hasher.verify(stored or _nobodys_hash(), password)
    except (VerificationError, InvalidHashError):
        return False
    return verified and stored is not None
