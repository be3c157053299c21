"""The query plans of statements that services send."""

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession

from shared.database.sessions import Database, WriteSession

# The first executions of a prepared statement are planned for their values; later ones may share a generic plan.
MODES = ("force_custom_plan", "force_generic_plan")
# These tables do not grow over the years, so reading all their rows is allowed.
BOUNDED = {"organisations", "pages", "people", "topics", "municipalities", "appeal_counts"}


@dataclass(frozen=True)
class Plan:
    """The plan of a statement: indexes used, rows removed by filters, database pages read."""

    statement: str
    indexes: frozenset[str]
    removed: int
    buffers: int
    sequential: tuple[str, ...]
    sorted_rows: int
    milliseconds: float


@dataclass
class ExplainedPlans:
    """The plans of all queries of one function."""

    plans: list[Plan] = field(default_factory=list)

    def worst(self, name: str) -> int:
        """Return the maximum of a figure over the statements."""
        return max(int(getattr(plan, name)) for plan in self.plans)


async def explain(
    database: Database, work: Callable[[WriteSession], Awaitable[object]], mode: str, settings: Mapping[str, str]
) -> ExplainedPlans:
    """Run `work` and return the plans of its queries; the transaction is rolled back."""
    sent: list[tuple[str, Any]] = []

    def before(_c: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        if not many and statement.lstrip().upper().startswith(("SELECT", "WITH")):
            sent.append((statement, parameters))

    found = ExplainedPlans()
    async with database.write() as session:
        event.listen(database.engine.sync_engine, "before_cursor_execute", before)
        try:
            await work(session)
        finally:
            event.remove(database.engine.sync_engine, "before_cursor_execute", before)
        driver = await _driver(session)
        await driver.execute(f"SET LOCAL plan_cache_mode = {mode}")
        for name, value in settings.items():
            await driver.execute(f"SET LOCAL {name} = {value}")
        for statement, parameters in sent:
            found.plans.append(await _plan(driver, statement, parameters))
        await session.rollback()
    return found


async def _driver(session: AsyncSession) -> asyncpg.Connection:
    driver = (await (await session.connection()).get_raw_connection()).driver_connection
    assert driver is not None
    return driver


async def _plan(driver: asyncpg.Connection, statement: str, parameters: Any) -> Plan:
    await driver.execute(f"PREPARE explained AS {statement}")
    values = f"({', '.join(map(_literal, parameters))})" if parameters else ""
    try:
        answer = await driver.fetchval(
            f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE explained{values}", timeout=120
        )
    finally:
        await driver.execute("DEALLOCATE explained")
    [top] = json.loads(answer) if isinstance(answer, str | bytes) else answer
    nodes = list(_nodes(top["Plan"]))
    return Plan(
        statement=statement,
        indexes=frozenset(node["Index Name"] for node in nodes if "Index Name" in node),
        removed=sum(
            round(
                (node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0))
                * node["Actual Loops"]
            )
            for node in nodes
            if node.get("Relation Name") not in BOUNDED
        ),
        buffers=top["Plan"].get("Shared Hit Blocks", 0) + top["Plan"].get("Shared Read Blocks", 0),
        sequential=tuple(node["Relation Name"] for node in nodes if node["Node Type"].endswith("Seq Scan")),
        sorted_rows=max(
            (
                round(below["Actual Rows"])
                for node in nodes
                if node["Node Type"] == "Sort"
                for below in node["Plans"]
            ),
            default=0,
        ),
        milliseconds=top["Execution Time"],
    )


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for below in node.get("Plans", []):
        yield from _nodes(below)


def _literal(value: Any) -> str:
    match value:
        case None:
            return "NULL"
        case bool() | int() | float():
            return str(value)
        case str() | UUID():
            return "'" + str(value).replace("'", "''") + "'"
        case date():  # `datetime` too: a subclass
            return f"'{value.isoformat()}'"
        case list() if all(one is None or isinstance(one, int) for one in value):
            return "'{" + ", ".join(map(_literal, value)) + "}'"
        case list():
            kind = "::uuid[]" if value and isinstance(value[0], UUID) else ""
            return f"ARRAY[{', '.join(map(_literal, value))}]{kind}"
        case timedelta():
            return f"'{value.total_seconds()} seconds'"
    raise TypeError(f"no literal for {type(value).__name__}")


def plan_errors(found: ExplainedPlans, query: Any) -> list[str]:
    """Return the limits that the plans of a frequent query exceed, as text."""
    errors = []
    used = frozenset[str]().union(*(plan.indexes for plan in found.plans))
    if not used & query.indexes:
        errors.append(f"served by {sorted(used)} instead of {sorted(query.indexes)}")
    worst = {figure: found.worst(figure) for figure in ("removed", "buffers")}
    return errors + [
        f"{figure}: {reached}, more than {getattr(query, figure)}"
        for figure, reached in worst.items()
        if reached > getattr(query, figure)
    ]
