"""Where a person is led after signing in."""

from urllib.parse import unquote_plus, urlsplit, urlunsplit

# What a person searched is words of citizens, and the key of an author leads to them: neither stays in an address.
_LEFT_OUT = frozenset({"q", "author_key"})
_LONGEST = 2_000


def local_path(target: str | None, default: str = "/") -> str:
    """Return a path of this site that a form or an address named; anything else gives the default."""
    if not target or not target.startswith("/") or target.startswith(("//", "/\\")):
        return default
    parts = urlsplit(target)
    return default if parts.scheme or parts.netloc or any(ord(one) < 32 for one in target) else target


def return_address(target: str | None) -> str:
    """Return the path of this site to lead to after a sign-in, without words of citizens."""
    parts = urlsplit(local_path(target))
    pairs = [pair for pair in parts.query.split("&") if unquote_plus(pair.partition("=")[0]) not in _LEFT_OUT]
    path = urlunsplit(parts._replace(query="&".join(pairs)))
    # In bytes: the cookie of a sign-in has a limit.
    return path if len(path.encode()) <= _LONGEST else "/"
