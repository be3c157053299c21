"""Hash passwords with Argon2 in a thread pool, outside the event loop.

Random secrets need only a fast digest.
"""

import asyncio
import base64
import hashlib
import hmac
import secrets
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

# A hash takes 64 MiB and is computed by four threads; the maximum limits the use of memory and cores.
MAX_CONCURRENT_HASHES = 2
_threads = ThreadPoolExecutor(max_workers=MAX_CONCURRENT_HASHES, thread_name_prefix="argon2")
_hasher = PasswordHasher()


async def hash_password(password: str) -> str:
    """Return the hash to store; it contains its salt and parameters."""
    return await asyncio.get_running_loop().run_in_executor(_threads, _hasher.hash, password)


async def hash_optional_password(password: str | None) -> str | None:
    """Return the hash of a password, None when there is no password."""
    return None if password is None else await hash_password(password)


async def verify_password(stored: str | None, password: str) -> bool:
    """Return whether the password matches the stored hash; without a stored hash it takes the same time."""
    return await asyncio.get_running_loop().run_in_executor(_threads, _matches, stored, password)


def needs_rehash(stored: str) -> bool:
    """Return whether the hash was made with parameters other than today's."""
    return _hasher.check_needs_rehash(stored)


def generate_secret() -> str:
    """Return a random secret of 256 bits in URL-safe characters."""
    return secrets.token_urlsafe(32)


def derive_secret(key: str, text: str) -> str:
    """Return a secret of 256 bits derived from the key and the text."""
    made = hmac.new(key.encode(), text.encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(made).rstrip(b"=").decode()


def secret_digest(secret: str) -> str:
    """Return the digest under which a random secret is stored. A secret of 256 bits needs no slow hash."""
    return hashlib.sha256(secret.encode()).hexdigest()


@cache
def _dummy_hash() -> str:
    return _hasher.hash("no password matches this on purpose")


def _matches(stored: str | None, password: str) -> bool:
    # An unknown name takes the same time as a known one: the response time must not reveal which names exist.
    try:
        verified = _hasher.verify(stored or _dummy_hash(), password)
    except (VerificationError, InvalidHashError):
        return False
    return verified and stored is not None
