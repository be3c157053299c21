"""Passwords: Argon2, computed in threads of their own so that the loop goes on. Random secrets: a plain digest."""

import asyncio
import base64
import hashlib
import hmac
import secrets
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

# Each computation takes 64 MiB and one core: two at a time bound both.
MAX_CONCURRENT_HASHES = 2
_threads = ThreadPoolExecutor(max_workers=MAX_CONCURRENT_HASHES, thread_name_prefix="argon2")
_hasher = PasswordHasher()


async def hash_password(password: str) -> str:
    """The hash to store, with its own salt and parameters in it."""
    return await asyncio.get_running_loop().run_in_executor(_threads, _hasher.hash, password)


async def hash_optional_password(password: str | None) -> str | None:
    """The hash to store of a password that may be left out."""
    return None if password is None else await hash_password(password)


async def verify_password(stored: str | None, password: str) -> bool:
    """Whether the password is the one that was hashed; takes as long when nothing is stored."""
    return await asyncio.get_running_loop().run_in_executor(_threads, _matches, stored, password)


def needs_rehash(stored: str) -> bool:
    """Whether the hash was made with weaker parameters than today's."""
    return _hasher.check_needs_rehash(stored)


def generate_secret() -> str:
    """A secret of 256 bits, in characters that need no quoting."""
    return secrets.token_urlsafe(32)


def derive_secret(key: str, text: str) -> str:
    """A secret of 256 bits that follows from the text for who has the key."""
    made = hmac.new(key.encode(), text.encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(made).rstrip(b"=").decode()


def secret_digest(secret: str) -> str:
    """How a random secret is stored: it has 256 bits, so no slow hash is needed to hide it."""
    return hashlib.sha256(secret.encode()).hexdigest()


@cache
def _dummy_hash() -> str:
    return _hasher.hash("no password matches this on purpose")


def _matches(stored: str | None, password: str) -> bool:
    # An unknown name costs the same time as a known one, or the answer's delay would tell names.
    try:
        verified = _hasher.verify(stored or _dummy_hash(), password)
    except (VerificationError, InvalidHashError):
        return False
    return verified and stored is not None
