"""The worker of webhooks with short pauses and leases, so that retries and takeovers take seconds.

`python -m tests.chaos.hasty_webhooks_worker`
"""

from datetime import timedelta

from cli.commands.serve import serve
from services.webhooks.deliveries import dispatcher, retry_schedule

# The documented number of attempts. All pauses together last longer than the test's receivers are down.
PAUSES = (0.5, 1, 2, 4, 8, 15, 20, 20, 20)

if __name__ == "__main__":
    assert len(PAUSES) == len(retry_schedule.RETRY_DELAYS)
    retry_schedule.RETRY_DELAYS = tuple(timedelta(seconds=pause) for pause in PAUSES)
    dispatcher.LEASE_MARGIN = timedelta(seconds=3)
    serve("webhooks", "worker")
