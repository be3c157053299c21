"""Files that commands write: whole or not at all."""

import os
from pathlib import Path
from threading import Thread

import pytest

from cli.atomic_files import NotWrittenError, beside, replacing, replacing_table


def test_what_was_there_stays_until_the_end(tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    target.write_bytes(b"before")
    with replacing(target) as out:
        out.write(b"after")
        assert target.read_bytes() == b"before"
    assert target.read_bytes() == b"after"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("fault", [ValueError, KeyboardInterrupt])
def test_what_was_there_stays_after_a_fault(tmp_path: Path, fault: type[BaseException]) -> None:
    target = tmp_path / "out.csv"
    target.write_bytes(b"before")
    with pytest.raises(fault), replacing(target) as out:
        out.write(b"after")
        raise fault
    assert target.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [target]


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    with (
        pytest.raises(NotWrittenError, match=r"out\.csv cannot be written: No space left"),
        replacing(tmp_path / "out.csv"),
    ):
        raise OSError(28, os.strerror(28))
    assert list(tmp_path.iterdir()) == []


def test_a_link_stays_a_link_and_a_file_keeps_its_rights(tmp_path: Path) -> None:
    real, link = tmp_path / "real.csv", tmp_path / "link.csv"
    real.write_bytes(b"before")
    real.chmod(0o640)
    link.symlink_to(real)
    with replacing(link) as out:
        out.write(b"after")
    assert link.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert real.read_bytes() == b"after"


def test_a_pipe_is_written_straight(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    came: list[bytes] = []
    reader = Thread(target=lambda: came.append(pipe.read_bytes()))
    reader.start()
    with replacing_table(pipe) as write:
        write(["a", "b"])
    reader.join()
    assert came == [b"a,b\n"]
    assert pipe.is_fifo()


def test_a_file_that_is_open_already_is_added_to(tmp_path: Path) -> None:
    said = tmp_path / "said.txt"
    with said.open("wb", buffering=0) as opened:
        opened.write(b"before\n")
        with replacing(Path(f"/dev/fd/{opened.fileno()}")) as out:
            out.write(b"after\n")
        assert os.fstat(opened.fileno()).st_ino == said.stat().st_ino
    assert said.read_bytes() == b"before\nafter\n"


def test_rows_are_as_anyone_reads_them(tmp_path: Path) -> None:
    with replacing_table(tmp_path / "out.csv") as write:
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
def test_columns_beside_results_have_names_of_their_own(columns: tuple[str, ...], names: list[str]) -> None:
    assert beside(columns, ("label", "top3")) == names
