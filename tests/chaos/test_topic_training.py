"""Learning from real appeals reaches its bars, where the reference data lies beside the project."""

import json
import subprocess
import sys

import pytest

from tests.chaos.sample_texts import REAL

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]


@pytest.mark.skipif(not REAL.exists(), reason="needs the appeals of Kursk beside the project: bars were not tried")
def test_learning_from_real_appeals_reaches_its_bars() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.topics", "--data", str(REAL), "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4_000:]
    assert json.loads(done.stdout.splitlines()[-1])["ok"]
