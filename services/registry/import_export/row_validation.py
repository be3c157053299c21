"""Validate rows with the API's schemas, so that imports follow the rules of requests."""

from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from services.registry.import_export.cell_errors import CellErrors
from services.registry.import_export.parsed_rows import Cell, ParsedFields

T = TypeVar("T", bound=BaseModel)
_PREFIX = "Value error, "


def validate_row(
    schema: type[T],
    values: dict[str, Any],
    fields: ParsedFields,
    cell_of: Callable[[str], Cell],
    errors: CellErrors,
) -> T | None:
    """Return the validated model; None for invalid values, with an error added to each invalid cell.

    `cell_of` returns the cell of a field, or of an item such as `other_spheres/1`. Cells that could not be parsed
    already have an error and get no second one.
    """
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_input=False, include_context=False):
            name = "/".join(map(str, detail["loc"]))
            cell = cell_of(name)
            if not fields.has_invalid_cell(cell):
                errors.add(cell.error(_reason(detail["type"], detail["msg"], name, cell)))
    return None


def _reason(kind: str, message: str, name: str, cell: Cell) -> str:
    if kind == "missing":
        return f"is incomplete: «{name}» is needed" if cell.text else "is needed"
    return message.removeprefix(_PREFIX)
