"""Keys in settings: one that could be guessed stops the process, and the message never repeats it."""

from typing import Annotated

from cryptography.fernet import Fernet
from pydantic import AfterValidator, SecretStr

# 128 bits as base64 writes them; `gospablik new-env` makes longer ones.
SHORTEST = 22
FEWEST_DISTINCT = 8
_MAKE = "`gospablik new-env` makes good ones"


def _strong(key: SecretStr) -> SecretStr:
    value = key.get_secret_value()
    if len(value.strip()) < SHORTEST:
        raise ValueError(f"a key has at least {SHORTEST} random characters; {_MAKE}")
    if len(set(value)) < FEWEST_DISTINCT:
        raise ValueError(f"a key has at least {FEWEST_DISTINCT} different characters; {_MAKE}")
    return key


def _fernet(keys: SecretStr) -> SecretStr:
    found = [key.strip() for key in keys.get_secret_value().split(",") if key.strip()]
    if not found:
        raise ValueError(f"at least one key is needed; {_MAKE}")
    for key in found:
        try:
            Fernet(key)
        except ValueError as error:
            raise ValueError(f"each is a Fernet key: 32 random bytes as URL-safe base64; {_MAKE}") from error
        if len(set(key)) < FEWEST_DISTINCT:
            raise ValueError(f"a key has at least {FEWEST_DISTINCT} different characters; {_MAKE}")
    return SecretStr(",".join(found))


# A secret that signs or digests.
StrongKey = Annotated[SecretStr, AfterValidator(_strong)]
# Fernet keys, newest first, separated by commas.
FernetKeys = Annotated[SecretStr, AfterValidator(_fernet)]
