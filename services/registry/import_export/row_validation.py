"""A row against the schemas of the API: one rule for what is typed in, sent or imported."""

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
    """The values as the schema takes them; null when it does not, and each fault is told at its cell.

    `place` is the cell to blame for a field of the schema, or for one item of it: `other_spheres/1`. What could
    not be read was told already.
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
        return f"is not enough: «{name}» is needed" if cell.text else "is needed"
    return message.removeprefix(_PREFIX)
