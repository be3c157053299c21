"""What a benchmark says at its end."""

import json

import pytest

from bench.measure import Part, main


def part(name: str, *, ours: float, bar: float, prefix: str = "") -> Part:
    """A part that measures 100 beside `ours`."""

    async def run(size: int) -> tuple[float, float]:
        return 100.0, ours

    return Part(name, bar=bar, unit="pieces/s", full=10, quick=1, run=run, prefix=prefix)


@pytest.mark.parametrize(("arguments", "code", "runs"), [(["--json"], 1, 3), (["--json", "--quick"], 0, 1)])
def test_the_last_line_is_one_object_of_all_parts(
    arguments: list[str],
    code: int,
    runs: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.argv", ["bench", *arguments])
    parts = (part("off", ours=5, bar=0.1, prefix="off_"), part("on", ours=80, bar=0.7))
    with pytest.raises(SystemExit) as ended:
        main("both", parts)
    assert ended.value.code == code
    *said, last = capsys.readouterr().out.splitlines()
    assert [line.rsplit(", ", 1)[1] for line in said] == ["BELOW THE BAR", "ok"]
    assert json.loads(last) == {
        "name": "both", "ok": False,
        "ratio": 0.8, "bar": 0.7, "floor": 100.0, "ours": 80.0, "unit": "pieces/s", "runs": runs,
        "off_ratio": 0.05, "off_bar": 0.1, "off_ok": False, "off_floor": 100.0, "off_ours": 5.0,
        "off_unit": "pieces/s", "off_runs": runs,
    }  # fmt: skip


def test_good_parts_end_well(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["bench"])
    with pytest.raises(SystemExit) as ended:
        main("one", (part("one", ours=80, bar=0.7),))
    assert ended.value.code == 0
    assert "{" not in capsys.readouterr().out
