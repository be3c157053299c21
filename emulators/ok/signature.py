"""The `sig` of a REST call: MD5 over the sorted parameters and a secret."""

import hmac
from collections.abc import Mapping
from hashlib import md5

UNSIGNED = frozenset({"access_token", "session_key", "sig"})


def _md5(text: str) -> str:
    # The network prescribes MD5; nothing but wire compatibility rests on it.
    return md5(text.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()


def token_secret(access_token: str, application_secret_key: str) -> str:
    """The secret of a call whose caller knows no session secret: MD5 of token and application secret."""
    return _md5(access_token + application_secret_key)


def sign(params: Mapping[str, str], secret: str) -> str:
    """The signature of `params` (decoded values), lower-case hex; tokens and `sig` itself stay out."""
    signed = "".join(f"{key}={params[key]}" for key in sorted(params) if key not in UNSIGNED)
    return _md5(signed + secret)


def verify(params: Mapping[str, str], secrets: tuple[str, ...]) -> bool:
    """Whether `sig` fits one of the secrets.

    Clients differ in whether they sign parameters with an empty value, and the network does not say
    which it wants, so both forms pass.
    """
    given = params.get("sig", "").encode("utf-8", "surrogatepass")
    filled = {key: value for key, value in params.items() if value}
    forms = [sign(form, secret) for secret in secrets for form in (params, filled)]
    return any(hmac.compare_digest(given, form.encode()) for form in forms)
