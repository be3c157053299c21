"""Parameters of a network's API call, from the query, the body or the `Authorization` header."""

from fastapi import Request


async def merged_params(request: Request) -> dict[str, str]:
    """Return query parameters, overridden by a form or multipart body.

    A token in a Bearer header becomes `access_token`, unless that is given. A repeated key keeps its last value;
    uploaded files are left out.
    """
    params = dict(request.query_params)
    if request.method == "POST":
        kind = request.headers.get("content-type", "")
        if kind.startswith(("application/x-www-form-urlencoded", "multipart/form-data")):
            async with request.form(max_part_size=16 * 1024 * 1024) as form:
                params.update({key: value for key, value in form.items() if isinstance(value, str)})
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        params.setdefault("access_token", token.strip())
    return params
