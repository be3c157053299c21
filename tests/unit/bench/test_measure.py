"""The output and exit code of a benchmark."""

import json

import pytest

from bench.measure import Measurement, run_benchmark


def measurement(name: str, *, ours: float, bar: float, prefix: str = "") -> Measurement:
    """Return a measurement whose runs give the floor 100 and the result `ours`."""

    async def run(size: int) -> tuple[float, float]:
        return 100.0, ours

    return Measurement(name, bar=bar, unit="pieces/s", full=10, quick=1, run=run, prefix=prefix)


@pytest.mark.parametrize(("arguments", "code", "runs"), [(["--json"], 1, 3), (["--json", "--quick"], 0, 1)])
def test_last_line_is_one_json_object_with_all_measurements(
    arguments: list[str],
    code: int,
    runs: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.argv", ["bench", *arguments])
    measurements = (measurement("off", ours=5, bar=0.1, prefix="off_"), measurement("on", ours=80, bar=0.7))
    with pytest.raises(SystemExit) as ended:
        run_benchmark("both", measurements)
    assert ended.value.code == code
    *lines, last = capsys.readouterr().out.splitlines()
    assert [line.rsplit(", ", 1)[1] for line in lines] == ["BELOW THE BAR", "ok"]
    assert json.loads(last) == {
        "name": "both", "ok": False,
        "ratio": 0.8, "bar": 0.7, "floor": 100.0, "ours": 80.0, "unit": "pieces/s", "runs": runs,
        "off_ratio": 0.05, "off_bar": 0.1, "off_ok": False, "off_floor": 100.0, "off_ours": 5.0,
        "off_unit": "pieces/s", "off_runs": runs,
    }  # fmt: skip


def test_measurement_above_the_bar_exits_with_zero(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["bench"])
    with pytest.raises(SystemExit) as ended:
        run_benchmark("one", (measurement("one", ours=80, bar=0.7),))
    assert ended.value.code == 0
    assert "{" not in capsys.readouterr().out
