"""Tables, rankings and the map: each number equals the count of its linked list, and the SLA figure."""

import csv
import io
import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from services.metrics.analytics import appeal_tables
from services.metrics.analytics.map_file import configured_map
from services.metrics.schemas.metrics import SlaFigure, SlaGroupBy
from services.metrics.settings import metrics_settings
from tests.integration.metrics.test_sla import WEEK, Region, add, cases, region
from tests.support.service_under_test import insert_organisation

__all__ = ["cases", "region"]  # re-exported so that pytest finds the fixtures here
API = "/api/v1/metrics"


async def listed(region: Region, link: str, figure: str) -> set[str]:
    """Return the ids of the appeals that a link lists."""
    answer = await region.metrics.client.get(
        f"{link}&figure={figure}&limit=200", headers=region.metrics.headers("moderator")
    )
    assert answer.status_code == 200, answer.text
    return {item["id"] for item in answer.json()["items"]}


async def counted(region: Region, link: str, figure: str) -> int:
    """Return how many appeals a link lists."""
    return len(await listed(region, link, figure))


async def read_csv(
    region: Region, path: str, query: dict[str, str], headers: dict[str, str]
) -> list[dict[str, str]]:
    answer = await region.metrics.client.get(f"{API}/{path}.csv", params=query, headers=headers)
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))


async def test_numbers_add_up_and_each_equals_the_length_of_its_linked_list(
    region: Region, cases: dict[str, UUID]
) -> None:
    table = await region.get(f"{API}/table", rows="day", columns="organisation", **WEEK)
    assert [row["key"] for row in table["rows"]] == [f"2026-11-{day}" for day in range(23, 30)]
    assert {cell["row"] for cell in table["cells"]} < {row["key"] for row in table["rows"]}
    for figure in SlaFigure:
        total = table["total"][figure]
        for part in ("rows", "columns", "cells"):
            assert sum(one[figure] for one in table[part]) == total, (figure, part)
        for one in [*table["rows"], *table["columns"], *table["cells"], table["total"]]:
            if one[figure] or figure is SlaFigure.OPENED:
                assert await counted(region, one["appeals"], figure) == one[figure]
    share = table["total"]["on_time_share"]
    assert share["share"] == round(
        table["total"]["on_time"] / (table["total"]["on_time"] + table["total"]["overdue"]), 4
    )
    assert share["low"] < share["share"] < share["high"]


async def test_rows_of_every_dimension_equal_the_groups_of_the_sla_figures(
    region: Region, cases: dict[str, UUID]
) -> None:
    for dimension in SlaGroupBy:
        table = await region.get(f"{API}/table", rows=dimension, **WEEK)
        sla = await region.get(group_by=dimension, **WEEK)
        names = ["key", "name", *SlaFigure]
        groups = [[group[name] for name in names] for group in sla["groups"] if any(group[f] for f in SlaFigure)]
        rows = [[row[name] for name in names] for row in table["rows"] if any(row[f] for f in SlaFigure)]
        assert rows == groups, dimension
        assert {name: table["total"][name] for name in SlaFigure} == {
            name: sla["total"][name] for name in SlaFigure
        }


async def test_table_filtered_to_a_cell_has_the_figures_of_the_cell(
    region: Region, cases: dict[str, UUID]
) -> None:
    whole = await region.get(f"{API}/table", rows="network", columns="topic_group", **WEEK)
    for cell in whole["cells"]:
        part = await region.get(f"{API}/table", rows="network", topic_group=cell["column"], **WEEK)
        (row,) = [row for row in part["rows"] if row["key"] == cell["row"]]
        assert {name: row[name] for name in SlaFigure} == {name: cell[name] for name in SlaFigure}
        appeals = await listed(region, row["appeals"], "opened")
        assert appeals == await listed(region, cell["appeals"], "opened")
        assert len(appeals) == cell["opened"]


async def test_csv_has_the_numbers_of_the_table(region: Region, cases: dict[str, UUID]) -> None:
    query = WEEK | {"rows": "week", "columns": "municipality"}
    table = await region.get(f"{API}/table", **query)
    headers = region.metrics.headers("moderator")
    file = await region.metrics.client.get(f"{API}/table.csv", params=query, headers=headers)
    accepted = await region.metrics.client.get(
        f"{API}/table", params=query, headers=headers | {"Accept": "text/csv"}
    )
    assert accepted.content == file.content
    assert file.headers["content-type"].startswith("text/csv")
    lines = await read_csv(region, "table", query, headers)
    assert [[line["week"], line["municipality"], int(line["opened"])] for line in lines] == [
        [cell["row"], cell["column"], cell["opened"]] for cell in table["cells"]
    ]
    appeals = [line["id"] for line in await read_csv(region, "appeals", WEEK, headers)]
    assert len(appeals) == table["total"]["opened"]
    assert set(appeals) == await listed(region, table["total"]["appeals"], "opened")


async def test_etag_changes_only_with_the_figures(region: Region, cases: dict[str, UUID]) -> None:
    headers = region.metrics.headers("moderator")
    query = WEEK | {"rows": "week"}
    tags = {}
    for path in ("table", "table.csv", "map", "rankings"):
        asked = WEEK if path in ("map", "rankings") else query
        first = await region.metrics.client.get(f"{API}/{path}", params=asked, headers=headers)
        tags[path] = first.headers["etag"]
        known = headers | {"If-None-Match": tags[path]}
        again = await region.metrics.client.get(f"{API}/{path}", params=asked, headers=known)
        assert (again.status_code, again.content) == (304, b""), path
    connection = await region.database.connect()
    await add(connection, opened_at="11-25 08:00", organisation_id=region.school)
    await connection.close()
    changed = await region.metrics.client.get(
        f"{API}/table", params=query, headers=headers | {"If-None-Match": tags["table"]}
    )
    assert changed.status_code == 200
    assert changed.headers["etag"] not in tags.values()


@pytest.mark.parametrize("with_subordinates", [False, True])
async def test_staff_see_their_own_organisations_only(
    region: Region, cases: dict[str, UUID], with_subordinates: bool
) -> None:
    group = await insert_organisation(region.database, name="Филиал", parent=region.school)
    connection = await region.database.connect()
    own = await add(connection, opened_at="11-24 08:00", organisation_id=group)
    await connection.close()
    token = region.metrics.token("executor", region.school, include_subordinates=with_subordinates)
    staff = {"Authorization": f"Bearer {token}"}
    organisations = {str(region.school)} | ({str(group)} if with_subordinates else set())
    appeals = {str(cases[name]) for name in ("exact", "late", "silent")} | (
        {str(own)} if with_subordinates else set()
    )

    table = await region.get(f"{API}/table", rows="organisation", headers=staff, **WEEK)
    assert {row["key"] for row in table["rows"]} == organisations
    assert table["total"]["opened"] == len(appeals)
    lines = await read_csv(region, "table", WEEK | {"rows": "organisation"}, staff)
    assert {line["organisation"] for line in lines} == organisations
    rankings = await region.get(f"{API}/rankings", headers=staff, **WEEK)
    ranked = [row["organisation_id"] for group in rankings["groups"] for row in group["organisations"]]
    assert set(ranked) == organisations
    assert {line["organisation_id"] for line in await read_csv(region, "rankings", WEEK, staff)} == organisations
    assert {line["id"] for line in await read_csv(region, "appeals", WEEK, staff)} == appeals
    elsewhere = WEEK | {"organisation": str(region.ministry)}
    assert await read_csv(region, "appeals", elsewhere, staff) == []
    assert (await region.get(f"{API}/appeals", headers=staff, **elsewhere))["items"] == []


async def test_map_shows_every_municipality_by_location(
    region: Region, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = await region.database.connect()
    known = [row["oktmo"] for row in await connection.fetch("SELECT oktmo FROM municipalities ORDER BY sort_key")]
    # The ministry is in no municipality. One appeal has no municipality, and one has the code of a removed one.
    for number, oktmo in enumerate((None, known[0], known[0], "99999999")):
        appeal = await add(connection, opened_at=f"11-24 0{number}:00", organisation_id=region.ministry)
        await connection.execute("UPDATE appeals SET municipality = $1 WHERE id = $2", oktmo, appeal)
    await connection.close()
    plain = await region.get(f"{API}/map", **WEEK)
    assert [feature["id"] for feature in plain["features"]] == [*known, "99999999"]
    assert all(feature["geometry"] is None for feature in plain["features"])
    figures = {feature["id"]: feature["properties"] for feature in plain["features"]}
    assert figures[known[0]]["opened"] == 2
    assert figures[known[0]]["opened_per_1000"] is None
    assert await counted(region, figures[known[0]]["appeals"], "opened") == 2
    assert plain["elsewhere"]["opened"] == 1
    total = (await region.get(f"{API}/table", rows="location", **WEEK))["total"]
    assert sum(one["opened"] for one in figures.values()) + plain["elsewhere"]["opened"] == total["opened"] == 4
    assert figures["99999999"]["name"] is None
    assert await counted(region, figures["99999999"]["appeals"], "opened") == 1

    point = {"type": "Point", "coordinates": [107.6, 51.8]}
    feature = {"type": "Feature", "geometry": point, "properties": {"oktmo": known[0], "population": 4000}}
    file = tmp_path / "map.geojson"
    file.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}), encoding="utf-8")
    monkeypatch.setattr(metrics_settings(), "map_file", file)
    configured_map.cache_clear()
    try:
        answer = await region.metrics.client.get(
            f"{API}/map", params=WEEK, headers=region.metrics.headers("moderator")
        )
    finally:
        configured_map.cache_clear()
    assert answer.headers["content-type"].startswith("application/geo+json")
    first = next(feature for feature in answer.json()["features"] if feature["id"] == known[0])
    assert (first["geometry"], first["properties"]["opened_per_1000"]) == (point, 0.5)


async def test_peers_are_ranked_unless_they_have_few_appeals(region: Region) -> None:
    connection = await region.database.connect()
    # School 0 answers 10 of 10 appeals in time, school 5 answers 5 of 10; school 6 has three, all in time.
    for number in range(7):
        school = await insert_organisation(region.database, name=f"Школа № {number}")
        for appeal in range(10 if number < 6 else 3):
            hour = "10:00" if number == 6 or appeal >= number else "12:00"
            await add(
                connection, organisation_id=school, opened_at="11-23 09:00", status="answered",
                first_response_due_at="11-23 11:00", first_response_at=f"11-23 {hour}",
            )  # fmt: skip
    first = await connection.fetchval("SELECT id FROM organisations WHERE name = 'Школа № 0'")
    for answer in ({"first_response_at": "11-24 12:00", "first_response_due_at": "11-24 11:00"}, {}):
        await add(
            connection, organisation_id=first, opened_at="11-24 10:00", network="ok", closed_at="11-25 10:00",
            status="closed", **answer,
        )  # fmt: skip
    await connection.close()
    rankings = await region.get(f"{API}/rankings", **WEEK)
    (group,) = [group for group in rankings["groups"] if group["code"] == "schools"]
    rows: dict[str, Any] = {row["name"]: row for row in group["organisations"]}
    assert [rows[f"Школа № {number}"]["rank"] for number in range(6)] == [1, 2, 3, 4, 5, 6]
    few = rows["Школа № 6"]
    assert few["rank"] is None
    assert few["note"].startswith("мало данных")
    assert (few["share"], few["trials"]) == (1.0, 3)
    worst = rows["Школа № 5"]
    assert worst["low"] < worst["share"] == 0.5 < worst["score"]
    for row in rows.values():
        on_time, overdue = [await counted(region, row["appeals"], figure) for figure in ("on_time", "overdue")]
        assert (row["successes"], row["trials"]) == (on_time, on_time + overdue)
    assert (worst["successes"], worst["trials"]) == (5, 10)
    # A filter restricts the ranks and their links.
    filtered = await region.get(f"{API}/rankings", network="ok", measure="answered", **WEEK)
    ((only,),) = [group["organisations"] for group in filtered["groups"]]
    assert (only["name"], only["successes"], only["trials"]) == ("Школа № 0", 1, 2)
    assert await counted(region, only["appeals"], "answered") == 1
    assert (
        await counted(region, only["appeals"], "opened") - await counted(region, only["appeals"], "waiting") == 2
    )


WRONG: list[tuple[str, dict[str, str], str]] = [
    ("table", {"rows": "week", "columns": "week"}, "query/columns"),
    ("table", {"rows": "week", "organization": "x"}, "query/organization"),
    ("table", {"rows": "day", "from": "2000-01-01", "to": "2090-01-01"}, "query/rows"),
    ("table", {}, "query/rows"),
    ("appeals", {"day": "2026-02-31"}, "query/day"),
    ("appeals", {"day": "20260223"}, "query/day"),
    ("appeals", {"week": "2026-W60"}, "query/week"),
    ("appeals", {"organisation": "abc"}, "query/organisation"),
    ("appeals", {"topic": "1"}, "query/topic"),
    ("appeals", {"network": "fb"}, "query/network"),
    ("appeals.csv", {"location": "x"}, "query/location"),
    ("map", {"location": "81624000"}, "query/location"),
    ("rankings", {"organisation": "0198f3a0-0000-7000-8000-000000000001"}, "query/organisation"),
]


async def test_invalid_parameter_is_refused_naming_the_parameter(region: Region) -> None:
    for path, query, pointer in WRONG:
        answer = await region.metrics.client.get(
            f"{API}/{path}", params=query, headers=region.metrics.headers("moderator")
        )
        assert answer.status_code == 422, (path, query)
        assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


async def test_table_over_the_size_limit_is_refused(
    region: Region, cases: dict[str, UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    query = WEEK | {"rows": "day", "columns": "network"}
    table = await region.get(f"{API}/table", **query)
    parts = sum(len(table[part]) for part in ("rows", "columns", "cells"))
    monkeypatch.setattr(appeal_tables, "MAX_PARTS", parts)
    assert await region.get(f"{API}/table", **query) == table
    monkeypatch.setattr(appeal_tables, "MAX_PARTS", parts - 1)
    answer = await region.metrics.client.get(
        f"{API}/table", params=query, headers=region.metrics.headers("moderator")
    )
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "query/rows")
