"""Every benchmark runs in its quick form; its figures are not checked."""

import json
import subprocess
import sys

import pytest

from bench.__main__ import BENCHMARKS

pytestmark = pytest.mark.long


@pytest.mark.parametrize("name", BENCHMARKS)
def test_quick_benchmark_prints_its_ratio(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"bench.{name}", "--quick", "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4_000:]
    result = json.loads(done.stdout.splitlines()[-1])
    assert set(result) >= {"name", "ratio", "bar", "ok", "floor", "ours", "unit", "runs"}
    assert result["ratio"] > 0
