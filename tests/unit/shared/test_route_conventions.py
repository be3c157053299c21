"""Conventions of all routes: problems, cursors, preconditions, rights."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from inspect import iscoroutinefunction
from typing import Annotated, Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.dependencies.models import Dependant
from joserfc.jwk import KeySet
from pydantic import BaseModel, Field

from shared.api.pagination import Page, PagingDep, decode_cursor, encode_cursor, paging
from shared.api.preconditions import RequiredVersion, check_version, required_version, set_etag
from shared.api.query_parameters import ListFilter, from_query, refuse_repeated_parameters
from shared.auth import tokens
from shared.auth.callers import Caller, require_right
from shared.auth.oidc import VerifiedIdentity
from shared.auth.rights import Right
from shared.http import problems
from shared.http.body_limit import BodyLimit
from shared.http.conditional_reads import ConditionalReads
from shared.http.json_depth import too_deep
from shared.http.problems import Conflict, Problem
from shared.identity import PersonCache, TokenReader
from shared.settings import settings

PEOPLE = tokens.new_key("gospablik.1")
ORGANISATION = uuid4()


class Letter(BaseModel):
    text: str = Field(min_length=1)


class LetterFilter(ListFilter):
    text: str | None = None
    page: list[int] = Field(default=[], alias="pages")


async def nobody(_verified: VerifiedIdentity) -> None:
    return None


class FakeService:
    name = "fake"
    identities = TokenReader(KeySet([PEOPLE]), None, PersonCache(nobody))


def routes() -> APIRouter:
    router = APIRouter()

    @router.post("/letters")
    async def write(letter: Letter) -> Letter:
        return letter

    @router.get("/numbers")
    async def numbers(
        *,
        caller: Annotated[Caller, require_right(Right.APPEALS_READ)],
        paging: PagingDep,
        response: Response,
        odd: bool = False,
        last_digit: Annotated[list[int] | None, Query()] = None,
        word: Annotated[str | None, Query(alias="ключ\n")] = None,
    ) -> Page[int]:
        start = decode_cursor(paging.cursor, paging.binding)[0] if paging.cursor else 100
        rows = list(range(start - 1, max(start - 2 - paging.limit, -1), -1))
        items, cursor = paging.page(rows, lambda n: [n], response)
        return Page(items=items, next_cursor=cursor)

    @router.get("/letters")
    async def found(_paging: PagingDep, wanted: Annotated[LetterFilter, Query()]) -> LetterFilter:
        return wanted

    @router.get("/sent-letters")
    async def sent(_paging: PagingDep, wanted: Annotated[LetterFilter, from_query(LetterFilter)]) -> LetterFilter:
        return wanted

    @router.get("/thing")
    async def read(response: Response, text: str = "as it was") -> str:
        set_etag(response, 3)
        return text

    @router.put("/thing")
    async def change(version: RequiredVersion, response: Response) -> str:
        check_version(3, version)
        set_etag(response, 4)
        return "changed"

    @router.get("/broken")
    async def broken() -> None:
        raise RuntimeError("a secret detail")

    @router.get("/busy")
    async def busy() -> None:
        raise Conflict("Not now")

    return router


@pytest.fixture
async def client(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    monkeypatch.setenv("GOSPABLIK_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    monkeypatch.setenv("GOSPABLIK_KEYS_DIR", "/nonexistent")
    monkeypatch.setenv("GOSPABLIK_CURSOR_KEY", "cursor-key-of-the-tests")
    monkeypatch.setenv("GOSPABLIK_AUDIT_KEY", "audit-key-of-the-tests")
    settings.cache_clear()
    app = FastAPI(dependencies=[Depends(refuse_repeated_parameters)])
    app.state.service = FakeService()
    problems.install(app)
    app.add_middleware(ConditionalReads)
    app.include_router(routes())
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as found:
        yield found
    settings.cache_clear()


def token(role: str, organisation: UUID | None = None, subject: str = "a", seconds: int = 60) -> dict[str, str]:
    signed = tokens.Signer(tokens.PEOPLE_ISSUER, PEOPLE).sign(
        subject,
        tokens.PEOPLE_AUDIENCE,
        timedelta(seconds=seconds),
        role=role,
        org=str(organisation) if organisation else None,
    )
    return {"Authorization": f"Bearer {signed}"}


def problem(answer: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert (body["type"], body["status"]) == (f"/problems/{slug}", status)
    return body


def test_dependencies_of_routes_are_async() -> None:
    used = {call for route in routes().routes for call in _dependencies(route.dependant)}  # type: ignore[attr-defined]
    assert {paging, required_version} <= used
    assert [call for call in used if not (iscoroutinefunction(call) or iscoroutinefunction(call.__call__))] == []


def _dependencies(dependant: Dependant) -> Iterator[Any]:
    for needed in dependant.dependencies:
        yield needed.call
        yield from _dependencies(needed)


async def test_invalid_field_is_refused_and_named(client: httpx.AsyncClient) -> None:
    body = problem(await client.post("/letters", json={"text": ""}), 422, "invalid")
    assert [error["pointer"] for error in body["errors"]] == ["/text"]
    body = problem(await client.post("/letters", json={}), 422, "invalid")
    assert [error["pointer"] for error in body["errors"]] == ["/text"]


async def test_malformed_json_is_a_bad_request(client: httpx.AsyncClient) -> None:
    answer = await client.post("/letters", content=b'{"text": ', headers={"content-type": "application/json"})
    assert "JSON" in problem(answer, 400, "bad-request")["detail"]


async def test_unknown_path_or_method_gets_a_problem_document(client: httpx.AsyncClient) -> None:
    assert "/nowhere" in problem(await client.get("/nowhere"), 404, "not-found")["detail"]
    problem(await client.delete("/letters"), 405, "method-not-allowed")


async def test_unexpected_error_discloses_no_details(client: httpx.AsyncClient) -> None:
    assert "secret" not in str(problem(await client.get("/broken"), 500, "internal"))
    problem(await client.get("/busy"), 409, "conflict")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer nonsense"},
        {"Authorization": "Basic YTpi"},
        token("moderator", seconds=-60),
        token("executor"),  # a staff role without an organisation
        token("king"),
    ],
)
async def test_request_without_a_valid_token_is_refused(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    answer = await client.get("/numbers", headers=headers)
    problem(answer, 401, "unauthenticated")
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_unexpected_error_is_not_raised_again(client: httpx.AsyncClient) -> None:
    # If it were raised again, the connection would close and the gateway's next request would fail.
    app = client._transport.app  # type: ignore[attr-defined]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as strict:
        problem(await strict.get("/broken"), 500, "internal")


async def test_nul_in_the_url_is_refused(client: httpx.AsyncClient) -> None:
    body = problem(await client.get("/numbers?odd=%00", headers=token("moderator")), 422, "invalid")
    assert body["errors"][0]["pointer"] == "query/odd"
    problem(await client.get("/num%00bers"), 422, "invalid")


async def test_missing_right_is_refused(client: httpx.AsyncClient) -> None:
    problem(await client.get("/numbers", headers=token("operations")), 403, "forbidden")
    assert (await client.get("/numbers", headers=token("executor", ORGANISATION))).status_code == 200


async def test_pages_have_no_gap_or_overlap(client: httpx.AsyncClient) -> None:
    seen: list[int] = []
    cursor: str | None = None
    while True:
        params = {"limit": "30"} | ({"cursor": cursor} if cursor else {})
        answer = await client.get("/numbers", params=params, headers=token("moderator"))
        seen += answer.json()["items"]
        cursor = answer.json()["next_cursor"]
        if cursor is None:
            assert "link" not in answer.headers
            break
        assert f"cursor={cursor}" in answer.headers["link"]
    assert seen == list(range(99, -1, -1))


async def test_cursor_is_bound_to_filter_and_caller(client: httpx.AsyncClient) -> None:
    first = await client.get("/numbers", params={"limit": 10}, headers=token("moderator"))
    cursor = first.json()["next_cursor"]
    for params, headers in (
        ({"cursor": cursor, "odd": "true"}, token("moderator")),
        ({"cursor": cursor}, token("moderator", subject="b")),
        ({"cursor": cursor[:-2] + "zz"}, token("moderator")),
        ({"cursor": "nonsense"}, token("moderator")),
    ):
        body = problem(await client.get("/numbers", params=params, headers=headers), 422, "invalid")
        assert body["errors"][0]["pointer"] == "query/cursor"


async def test_special_characters_in_the_query_are_kept_in_the_link(client: httpx.AsyncClient) -> None:
    params = {"limit": "5", "ключ\n": "знач&ение"}
    answer = await client.get("/numbers", params=params, headers=token("moderator"))
    assert answer.status_code == 200
    target = answer.headers["link"].split(";")[0].strip("<>")
    following = await client.get(target, headers=token("moderator"))
    assert following.json()["items"] == [94, 93, 92, 91, 90]


async def test_limit_out_of_range_is_refused(client: httpx.AsyncClient) -> None:
    for limit in ("0", "201", "many"):
        body = problem(
            await client.get("/numbers", params={"limit": limit}, headers=token("moderator")), 422, "invalid"
        )
        assert body["errors"][0]["pointer"] == "query/limit"


async def test_change_without_the_current_version_is_refused(client: httpx.AsyncClient) -> None:
    problem(await client.put("/thing"), 428, "precondition-required")
    problem(await client.put("/thing", headers={"If-Match": '"2"'}), 412, "precondition-failed")
    body = problem(await client.put("/thing", headers={"If-Match": '"new"'}), 422, "invalid")
    assert body["errors"][0]["pointer"] == "header/If-Match"
    answer = await client.put("/thing", headers={"If-Match": '"3"'})
    assert (answer.status_code, answer.headers["etag"]) == (200, '"4"')


async def test_repeated_parameter_that_takes_one_value_is_refused(client: httpx.AsyncClient) -> None:
    for name, values in (("odd", ("true", "false")), ("limit", ("5", "5")), ("cursor", ("a", "b"))):
        answer = await client.get("/numbers", params={name: values}, headers=token("moderator"))
        assert problem(answer, 422, "invalid")["errors"] == [
            {"pointer": f"query/{name}", "detail": "This parameter takes one value"}
        ]
    several = {"last_digit": ["1", "2"], "limit": "5"}
    assert (await client.get("/numbers", params=several, headers=token("moderator"))).status_code == 200


@pytest.mark.parametrize("path", ["/letters", "/sent-letters"])
async def test_unknown_and_repeated_parameters_of_a_query_model_are_refused(
    client: httpx.AsyncClient, path: str
) -> None:
    async def ask(**params: Any) -> httpx.Response:
        return await client.get(path, params=params, headers=token("moderator"))

    assert (await ask(text="a", pages=["1", "2"], limit="5")).json() == {"text": "a", "pages": [1, 2]}
    for params in ({"text": ["a", "b"]}, {"subject": "a"}, {"pages": "many"}):
        body = problem(await ask(**params), 422, "invalid")
        assert body["errors"][0]["pointer"].startswith(f"query/{next(iter(params))}")


async def test_unchanged_resource_gets_304(client: httpx.AsyncClient) -> None:
    first = await client.get("/thing")
    etag = first.headers["etag"]
    assert (first.status_code, first.json()) == (200, "as it was")
    assert etag.startswith('"3-')
    for known in (etag, f'"1-aaa", W/{etag}', "*"):
        again = await client.get("/thing", headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
        assert "content-length" not in again.headers
    # The version is the same, but the body or the form of the ETag differs.
    for known, text in ((etag, "a reply was published"), ('"3"', "as it was")):
        other = await client.get("/thing", params={"text": text}, headers={"If-None-Match": known})
        assert (other.status_code, other.json()) == (200, text)
    changed = await client.put("/thing", headers={"If-Match": etag})
    assert changed.status_code == 200, changed.text


async def test_cursor_keeps_the_types_of_sort_keys(client: httpx.AsyncClient) -> None:
    some = uuid4()
    assert decode_cursor(encode_cursor([some, 5, "я"], "list"), "list") == [str(some), 5, "я"]


def test_catalogue_describes_every_problem() -> None:
    found = problems.catalogue()
    assert {"not-found", "conflict", "invalid", "unauthenticated", "payload-too-large"} <= set(found)
    assert all(entry["description"] for entry in found.values())
    assert found[Problem.slug]["status"] == 500


@pytest.mark.parametrize(("size", "status"), [(1_000, 200), (1_001, 413), (200_000, 413)])
async def test_large_body_is_read_to_its_end_and_refused(size: int, status: int) -> None:
    taken: list[int] = []
    app = FastAPI()

    @app.post("/bytes")
    async def swallow(request: Request) -> int:
        taken.append(len(await request.body()))
        return taken[-1]

    limited = BodyLimit(app, limit=lambda: 1_000)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=limited), base_url="http://test") as client:
        answer = await client.post("/bytes", content=b"a" * size)
    assert answer.status_code == status
    assert taken == ([size] if status == 200 else [])
    if status == 413:
        problem(answer, 413, "payload-too-large")


@pytest.mark.parametrize(("path", "status"), [("/files", 200), ("/others", 413)])
async def test_path_can_have_a_higher_body_limit(path: str, status: int) -> None:
    app = FastAPI()

    @app.post("/{path}")
    async def swallow(path: str, request: Request) -> int:
        return len(await request.body())

    limited = BodyLimit(app, limit=lambda: 1_000, others={"/files": 2_000})
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=limited), base_url="http://test") as client:
        assert (await client.post(path, content=b"a" * 2_000)).status_code == status
        assert (await client.post(path, content=b"a" * 2_001)).status_code == 413


@pytest.mark.parametrize(
    ("kind", "size", "status"),
    [
        ("application/json", 1_000, 200),
        ("application/json", 1_001, 413),
        ("application/merge-patch+json; charset=utf-8", 1_001, 413),
        ("text/csv", 2_000, 200),
        (None, 2_000, 200),
        (None, 900, 400),
    ],
)
async def test_json_above_the_common_limit_is_refused_unexamined_on_a_path_for_files(
    monkeypatch: pytest.MonkeyPatch, kind: str | None, size: int, status: int
) -> None:
    app = FastAPI()
    examined: list[int] = []

    def examine(body: bytes) -> bool:
        examined.append(len(body))
        return too_deep(body)

    @app.post("/files")
    async def swallow(request: Request) -> int:
        return len(await request.body())

    monkeypatch.setattr("shared.http.body_limit.too_deep", examine)
    limited = BodyLimit(app, limit=lambda: 1_000, others={"/files": 2_000})
    body = b"[" * size if status == 400 else b"[" + b" " * (size - 1)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=limited), base_url="http://test") as client:
        answer = await client.post("/files", content=body, headers={} if kind is None else {"Content-Type": kind})
    assert answer.status_code == status, answer.text
    assert max(examined, default=0) <= 1_000
