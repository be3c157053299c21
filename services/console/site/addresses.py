"""Addresses of the shown page with a different query: the state of a page is in its address."""

from urllib.parse import urlencode

from services.console.site.visit import Visit


def with_query(visit: Visit, **changes: str | None) -> str:
    """Return the address of this page with changed parameters; None removes a parameter."""
    pairs = [(name, value) for name, value in visit.request.query_params.multi_items() if name not in changes]
    pairs += [(name, value) for name, value in changes.items() if value is not None]
    path = visit.request.url.path
    return f"{path}?{urlencode(pairs)}" if pairs else path


def next_page(visit: Visit, cursor: str | None) -> str | None:
    """Return the address of the next page of a list; None on the last page."""
    return with_query(visit, cursor=cursor) if cursor else None


def first_page(visit: Visit) -> str | None:
    """Return the address of the first page of a list; None on the first page."""
    return with_query(visit, cursor=None) if "cursor" in visit.request.query_params else None


def asked(visit: Visit, *names: str) -> dict[str, str | None]:
    """Return parameters of the address for an API call; an empty parameter is None."""
    return {name: visit.request.query_params.get(name, "").strip() or None for name in names}
