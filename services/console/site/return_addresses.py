"""The address to return to after signing in."""

from urllib.parse import unquote_plus, urlsplit, urlunsplit

# Search words may contain a citizen's words or personal data, and an author's key identifies a citizen: both are
# removed from the address.
_LEFT_OUT = frozenset({"q", "author_key"})
_LONGEST = 2_000


def local_path(target: str | None, default: str = "/") -> str:
    """Return the path if it belongs to this site; otherwise the default."""
    if not target or not target.startswith("/") or target.startswith(("//", "/\\")):
        return default
    parts = urlsplit(target)
    return default if parts.scheme or parts.netloc or any(ord(one) < 32 for one in target) else target


def return_address(target: str | None) -> str:
    """Return the path to redirect to after a sign-in, without citizens' data; the first page if it is too long."""
    parts = urlsplit(local_path(target))
    pairs = [pair for pair in parts.query.split("&") if unquote_plus(pair.partition("=")[0]) not in _LEFT_OUT]
    path = urlunsplit(parts._replace(query="&".join(pairs)))
    # In bytes, because the sign-in cookie has a size limit.
    return path if len(path.encode()) <= _LONGEST else "/"
