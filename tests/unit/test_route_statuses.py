"""Each status that the code of a route assigns is in the OpenAPI document."""

import ast
import importlib
import inspect
import textwrap
from collections.abc import Iterator
from pathlib import Path

from fastapi.routing import APIRoute, APIRouter

ROOT = Path(__file__).parents[2]


def _routes() -> Iterator[APIRoute]:
    for path in sorted((ROOT / "services").glob("*/api/**/*.py")):
        module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
        for name, value in vars(module).items():
            if isinstance(value, APIRouter) and name.endswith("router"):
                yield from (route for route in value.routes if isinstance(route, APIRoute))


def _chosen(route: APIRoute) -> set[int]:
    """Return the statuses that the route assigns to `….status_code`."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(route.endpoint)))
    return {
        part.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        and any(isinstance(target, ast.Attribute) and target.attr == "status_code" for target in node.targets)
        for part in ast.walk(node.value)
        if isinstance(part, ast.Constant) and isinstance(part.value, int)
    }


def test_statuses_assigned_by_routes_are_documented() -> None:
    choosing = [(route, chosen) for route in _routes() if route.include_in_schema and (chosen := _chosen(route))]
    assert choosing
    missing = {
        f"{route.name}: {sorted(undocumented)}"
        for route, chosen in choosing
        if (undocumented := chosen - {int(status) for status in route.responses} - {route.status_code})
    }
    assert missing == set()
