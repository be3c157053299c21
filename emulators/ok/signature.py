"""The `sig` of a REST call: MD5 over the sorted parameters and a secret."""

import hmac
from collections.abc import Mapping
from hashlib import md5

UNSIGNED = frozenset({"access_token", "session_key", "sig"})


def _md5(text: str) -> str:
    # The network prescribes MD5; it is used only for compatibility, not for security.
    return md5(text.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()


def token_secret(access_token: str, application_secret_key: str) -> str:
    """Return the signing secret of a caller that has no session secret: MD5 of token and application secret."""
    return _md5(access_token + application_secret_key)


def sign(params: Mapping[str, str], secret: str) -> str:
    """Return the lower-case hex signature of `params` (decoded values); tokens and `sig` itself are excluded."""
    signed = "".join(f"{key}={params[key]}" for key in sorted(params) if key not in UNSIGNED)
    return _md5(signed + secret)


def verify(params: Mapping[str, str], secrets: tuple[str, ...]) -> bool:
    """Return whether `sig` matches one of the secrets.

    Some clients sign parameters with an empty value and some do not. The network does not document which form it
    expects, so both are accepted.
    """
    given = params.get("sig", "").encode("utf-8", "surrogatepass")
    filled = {key: value for key, value in params.items() if value}
    forms = [sign(form, secret) for secret in secrets for form in (params, filled)]
    return any(hmac.compare_digest(given, form.encode()) for form in forms)
