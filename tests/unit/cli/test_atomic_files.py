"""Writing files atomically."""

import os
from functools import partial
from pathlib import Path
from threading import Thread

import pytest

from cli.atomic_files import FileNotWrittenError, atomic_csv_writer, atomic_write, rename_clashing_columns


def test_target_is_replaced_only_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    target.write_bytes(b"before")
    with atomic_write(target) as out:
        out.write(b"after")
        assert target.read_bytes() == b"before"
    assert target.read_bytes() == b"after"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_target_is_unchanged_after_an_error(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "out.csv"
    target.write_bytes(b"before")
    with pytest.raises(error), atomic_write(target) as out:
        out.write(b"after")
        raise error
    assert target.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [target]


def test_full_disk_is_reported(tmp_path: Path) -> None:
    with (
        pytest.raises(FileNotWrittenError, match=r"out\.csv cannot be written: No space left"),
        atomic_write(tmp_path / "out.csv"),
    ):
        raise OSError(28, os.strerror(28))
    assert list(tmp_path.iterdir()) == []


def test_symbolic_link_and_permissions_are_kept(tmp_path: Path) -> None:
    real, link = tmp_path / "real.csv", tmp_path / "link.csv"
    real.write_bytes(b"before")
    real.chmod(0o640)
    link.symlink_to(real)
    with atomic_write(link) as out:
        out.write(b"after")
    assert link.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert real.read_bytes() == b"after"


def test_private_file_is_private_while_it_is_replaced(tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    target.touch(mode=0o600)
    with atomic_write(target) as out:
        out.write("текст гражданина".encode())
        modes = {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes == {0o600}
    assert target.stat().st_mode & 0o777 == 0o600


def test_new_file_with_texts_of_citizens_is_private(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        for name, write in (("out.csv", atomic_csv_writer), ("export.csv", partial(atomic_write, private=True))):
            with write(tmp_path / name):
                pass
            assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
        with atomic_write(tmp_path / "report.pdf"):
            pass
        assert (tmp_path / "report.pdf").stat().st_mode & 0o777 == 0o644
    finally:
        os.umask(before)


def test_pipe_is_written_directly(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    received: list[bytes] = []
    reader = Thread(target=lambda: received.append(pipe.read_bytes()))
    reader.start()
    with atomic_csv_writer(pipe) as write:
        write(["a", "b"])
    reader.join()
    assert received == [b"a,b\n"]
    assert pipe.is_fifo()


def test_target_that_is_an_open_file_descriptor_is_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "said.txt"
    with path.open("wb", buffering=0) as opened:
        opened.write(b"before\n")
        with atomic_write(Path(f"/dev/fd/{opened.fileno()}")) as out:
            out.write(b"after\n")
        assert os.fstat(opened.fileno()).st_ino == path.stat().st_ino
    assert path.read_bytes() == b"before\nafter\n"


def test_special_cells_are_quoted(tmp_path: Path) -> None:
    with atomic_csv_writer(tmp_path / "out.csv") as write:
        for row in (["а", "б, в"], [], ["г\rд", "е"], ["ж\nз", '"']):
            write(row)
    assert (tmp_path / "out.csv").read_bytes().decode() == 'а,"б, в"\n\n"г\rд","е"\n"ж\nз",""""\n'


@pytest.mark.parametrize(
    ("columns", "names"),
    [
        (("id", "label"), ["id", "given_label"]),
        (("label", "given_label"), ["given_given_label", "given_label"]),
        (("label", "label"), ["given_label", "given_given_label"]),
        (("Label", "id", "id"), ["Label", "id", "id"]),
    ],
)
def test_columns_named_like_results_are_renamed(columns: tuple[str, ...], names: list[str]) -> None:
    assert rename_clashing_columns(columns, ("label", "top3")) == names
