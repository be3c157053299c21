"""Loading of the word lists, which are CSV files in this folder."""

from functools import cache
from importlib import resources

from shared.tabular.reader import package_rows


@cache
def load_rows(name: str) -> tuple[dict[str, str], ...]:
    """Return the rows of a file in this folder, such as `danger.csv`."""
    return tuple(package_rows(__package__, name))


def all_files_as_text() -> str:
    """Return all CSV files of this folder as one text, ordered by file name."""
    files = sorted(
        (file for file in resources.files(__package__).iterdir() if file.name.endswith(".csv")),
        key=lambda file: file.name,
    )
    return "\n".join(f"{file.name}\n{file.read_text('utf-8')}" for file in files)
