"""Write files atomically, so that an error leaves an existing file unchanged."""

import codecs
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from shared.tabular.formula_escaping import harmless
from shared.tabular.writer import CsvWriter

# Paths of open files, for example of a shell redirection: they must be written to, not replaced.
_OPEN_ALREADY = ("/dev/std", "/dev/fd/", "/proc/")

Write = Callable[[Sequence[str]], None]


class FileNotWrittenError(Exception):
    """The file cannot be written; the message contains its path and the reason."""


@contextmanager
def atomic_write(target: Path, *, private: bool = False) -> Iterator[BinaryIO]:
    """Yield a file that replaces `target` when the block ends without an error. `private`: if it is new, only its
    owner can read it.

    Until then, and after an error, `target` stays unchanged. A device or a pipe is written directly. Raises
    `FileNotWrittenError` if the file cannot be written.
    """
    try:
        if str(target).startswith(_OPEN_ALREADY) or (target.exists() and not target.is_file()):
            with target.open("ab") as direct:
                yield direct
            return
        # If the path is a symbolic link, replace its target, not the link.
        destination = Path(os.path.realpath(target))
        temporary = destination.with_name(f".gospablik-{secrets.token_hex(6)}.part")
        try:
            new = 0o600 if private else 0o666
            # While it is written, nobody may read it who may not read the file that it replaces.
            mode = destination.stat().st_mode & 0o777 if destination.exists() else new
            with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            if destination.exists():
                shutil.copymode(destination, temporary)
            temporary.replace(destination)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise FileNotWrittenError(f"{target} cannot be written: {error.strerror or error}") from error


@contextmanager
def atomic_csv_writer(target: Path) -> Iterator[Write]:
    """Yield a function that writes one row of a UTF-8 CSV; the CSV replaces `target` as `atomic_write` does. It is
    private, because its rows have texts of citizens.

    A row without cells is written as a blank line.
    """
    with atomic_write(target, private=True) as file:
        out = codecs.getwriter("utf-8")(file)
        yield CsvWriter(out, line_end="\n", make_safe=harmless).write_row


def rename_clashing_columns(columns: Sequence[str], results: Sequence[str]) -> list[str]:
    """Return the columns of a file, renamed where one clashes with an added column of `results`.

    A column named like a result becomes `given_<name>`, or `given_given_<name>` if that is taken as well.
    """
    taken = {*columns, *results}
    names = []
    for name in columns:
        new_name = name
        if name in results:
            while new_name in taken:
                new_name = f"given_{new_name}"
            taken.add(new_name)
        names.append(new_name)
    return names


def write_private(path: Path, text: str) -> None:
    """Replace a file atomically; only its owner can read it."""
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
