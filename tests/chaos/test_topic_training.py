"""Training on real appeals reaches the minimum scores, if the reference data exists."""

import json
import subprocess
import sys

import pytest

from tests.chaos.sample_texts import REFERENCE_APPEALS

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]


@pytest.mark.skipif(
    not REFERENCE_APPEALS.exists(), reason="needs the appeals of Kursk next to the project: bars were not tested"
)
def test_training_on_real_appeals_reaches_the_minimum_scores() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.topics", "--data", str(REFERENCE_APPEALS), "--splits", "2", "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4_000:]
    assert json.loads(done.stdout.splitlines()[-1])["ok"]
