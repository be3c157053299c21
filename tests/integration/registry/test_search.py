"""Search: an organisation is found by any of its names in any spelling."""

from typing import Any

import pytest
from sqlalchemy import text

from bench.generated_region.generator import generate
from bench.registry_search import load, questions
from services.registry.organisations import search
from tests.conftest import TestDatabase
from tests.integration.registry.conftest import make, pointers
from tests.support.service_under_test import ServiceUnderTest

PATH = "/api/v1/organisations"


async def found(registry: ServiceUnderTest, q: str, **query: Any) -> list[dict[str, Any]]:
    answer = await registry.client.get(
        f"{PATH}/search", params={"q": q, **query}, headers=registry.headers("head")
    )
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def test_misspelt_names_find_their_organisation(registry: ServiceUnderTest, database: TestDatabase) -> None:
    connection = await database.connect()
    await load(connection, generate(organisations=2_000, pages=3_600))
    asked = questions()
    missed = []
    for question in asked:
        async with registry.service.database.read() as session:
            hits = await search.search(session, question.text, limit=5)
        if question.code not in {hit.organisation.code for hit in hits}:
            missed.append(question.text)
    assert len(asked) == 100
    assert len(missed) <= 5, missed
    await connection.close()


async def test_search_uses_the_trigram_index(registry: ServiceUnderTest, database: TestDatabase) -> None:
    connection = await database.connect()
    await load(connection, generate(organisations=300, pages=0))
    await connection.close()
    async with registry.service.database.read() as session:
        await search.set_similarity_threshold(session, search.STRICT_SIMILARITY)
        statement = search.similar_names_query("кабанский", None)
        literal = statement.compile(dialect=session.get_bind().dialect, compile_kwargs={"literal_binds": True})
        plan = await session.scalars(text(f"EXPLAIN {literal}".replace("%%", "%")))
        assert "ix_organisation_names_normalized_name" in "\n".join(plan)


async def test_current_and_former_names_are_found(registry: ServiceUnderTest) -> None:
    school = await make(
        registry,
        "/organisations",
        name="Гимназия имени А. Ёлкина",
        short_name="МАОУ «Гимназия № 14»",
        kind="institution",
        municipality="81701000",
        code="g14",
    )
    await make(registry, "/organisations", name="Гимназия № 33", kind="institution")
    await make(registry, f"/organisations/{school['id']}/names", kind="former", name="Средняя школа № 2")
    headers = registry.headers("moderator", **{"If-Match": "*"})
    renamed = await registry.client.patch(
        f"{PATH}/{school['id']}", json={"name": "Лицей имени А. Ёлкина"}, headers=headers
    )
    assert renamed.status_code == 200
    for asked, name, kind in (
        ("гимнозия 14", "МАОУ «Гимназия № 14»", "short"),
        ("елкина лицей", "Лицей имени А. Ёлкина", "official"),
        ("СОШ №2", "Средняя школа № 2", "former"),
        ("Kbwtq tkrbyf", "Лицей имени А. Ёлкина", "official"),
    ):
        first = (await found(registry, asked))[0]
        assert (first["id"], first["matched_name"], first["matched_name_kind"]) == (school["id"], name, kind), (
            asked
        )
    (whole, *_) = await found(registry, "лицей им. А. Елкина")
    assert whole == {
        "id": school["id"],
        "code": "g14",
        "name": "Лицей имени А. Ёлкина",
        "kind": "institution",
        "municipality": "81701000",
        "active": True,
        "matched_name": "Лицей имени А. Ёлкина",
        "matched_name_kind": "official",
        "score": 1.0,
    }
    # Each organisation once, best first, at most `limit`.
    both = [item["id"] for item in await found(registry, "гимназия")]
    assert len(both) == len(set(both)) == 2
    assert (await found(registry, "гимназия 33"))[0]["name"] == "Гимназия № 33"
    assert len(await found(registry, "гимназия", limit=1)) == 1
    assert await found(registry, "больница") == []


async def test_search_can_exclude_inactive_organisations(registry: ServiceUnderTest) -> None:
    ended = await make(registry, "/organisations", name="Сельский клуб", kind="institution")
    headers = registry.headers("moderator", **{"If-Match": "*"})
    await registry.client.patch(f"{PATH}/{ended['id']}", json={"active": False}, headers=headers)
    assert [item["active"] for item in await found(registry, "сельский клуб")] == [False]
    assert await found(registry, "сельский клуб", active=True) == []
    assert len(await found(registry, "сельский клуб", active=False)) == 1


@pytest.mark.parametrize("q", ["!", "«»", "%", "' OR 1=1 --", "\\", "№", "🏫", "а" * 200, "1" * 200, "а " * 100])
async def test_unusual_queries_cause_no_error(registry: ServiceUnderTest, q: str) -> None:
    await make(registry, "/organisations", name="Больница", kind="institution")
    assert await found(registry, q) == []


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({}, "query/q"),
        ({"q": ""}, "query/q"),
        ({"q": "а" * 201}, "query/q"),
        ({"q": "\x00"}, "query/q"),
        ({"q": "а", "limit": "51"}, "query/limit"),
        ({"q": "а", "active": "maybe"}, "query/active"),
    ],
)
async def test_invalid_query_is_refused_naming_the_parameter(
    registry: ServiceUnderTest, query: dict[str, str], named: str
) -> None:
    answer = await registry.client.get(f"{PATH}/search", params=query, headers=registry.headers("head"))
    assert answer.status_code == 422
    assert pointers(answer) == {named}
