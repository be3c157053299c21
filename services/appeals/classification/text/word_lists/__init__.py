"""Word lists, as data."""

import csv
from functools import cache
from importlib import resources


@cache
def load_rows(name: str) -> tuple[dict[str, str], ...]:
    """Return the rows of a file in this folder, such as `danger.csv`."""
    text = resources.files(__package__).joinpath(name).read_text("utf-8")
    return tuple(csv.DictReader(text.splitlines()))


def all_files_as_text() -> str:
    """Return all CSV files of this folder as one text, by name."""
    files = sorted(
        (file for file in resources.files(__package__).iterdir() if file.name.endswith(".csv")),
        key=lambda file: file.name,
    )
    return "\n".join(f"{file.name}\n{file.read_text('utf-8')}" for file in files)
