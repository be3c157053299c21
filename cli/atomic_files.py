"""Files that commands write: whole or not at all, so that what stood there before is never lost to a fault."""

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

# Names of what a process has open: a file that the shell writes to must not change under it.
_OPEN_ALREADY = ("/dev/std", "/dev/fd/", "/proc/")

Write = Callable[[Sequence[str]], None]


class NotWrittenError(Exception):
    """The file cannot be written; the message names it and the reason."""


@contextmanager
def replacing(target: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of `target` when the block ends well; till then, and after a fault, what is
    there stays. A device or a pipe is written straight. Raises `NotWrittenError`.
    """
    try:
        if str(target).startswith(_OPEN_ALREADY) or (target.exists() and not target.is_file()):
            with target.open("ab") as straight:
                yield straight
            return
        # Through a link its target is replaced, not the link.
        whole = Path(os.path.realpath(target))
        fresh = whole.with_name(f".gospablik-{secrets.token_hex(6)}.part")
        try:
            with fresh.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            if whole.exists():
                shutil.copymode(whole, fresh)
            fresh.replace(whole)
        finally:
            fresh.unlink(missing_ok=True)
    except OSError as error:
        raise NotWrittenError(f"{target} cannot be written: {error.strerror or error}") from error


@contextmanager
def replacing_table(target: Path) -> Iterator[Write]:
    """Likewise a CSV in UTF-8: what is yielded writes one row, or a blank line for a row without cells."""
    with replacing(target) as file:
        out = codecs.getwriter("utf-8")(file)
        yield CsvWriter(out, line_end="\n", make_safe=harmless).write_row


def beside(columns: Sequence[str], results: Sequence[str]) -> list[str]:
    """Names of a file's own columns where `results` stand beside them: one that is called like a result becomes
    `given_<name>`, or `given_given_<name>` where that is taken as well.
    """
    taken = {*columns, *results}
    kept = []
    for name in columns:
        called = name
        if name in results:
            while called in taken:
                called = f"given_{called}"
            taken.add(called)
        kept.append(called)
    return kept


def write_private(path: Path, text: str) -> None:
    """Replace a file at once, readable by its owner only."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
