"""Speed from a committed event to a verified delivery: `python -m bench.webhooks [--quick] [--json]`.

Ours: numbering, fan-out to five endpoints, claims, sending and recording of results, in one process as in the
service. The floor: plain aiohttp sends the same signed bodies to the same receiver, over as many connections. The
receiver runs in its own process and verifies each signature. Unit: deliveries per second.

`python -m bench.webhooks --undelivered 100000` measures instead API requests per second at the 95th percentile of
their duration: the floor without undelivered deliveries, ours with this many. The p95 may be higher by a tenth.
"""

import sys

from bench.measure import Measurement, run_benchmark
from bench.webhooks.measurement import in_process
from bench.webhooks.undelivered import with_undelivered

OPTION = "--undelivered"

if __name__ == "__main__":
    measured = Measurement("webhooks", bar=0.25, unit="deliveries/s", full=10_000, quick=1_000, run=in_process)
    if OPTION in sys.argv:
        place = sys.argv.index(OPTION)
        count = int(sys.argv[place + 1])
        del sys.argv[place : place + 2]
        measured = Measurement(
            f"webhooks with {count:,} undelivered deliveries",
            bar=round(1 / 1.1, 3),
            unit="requests/s at p95",
            full=count,
            quick=count,
            run=with_undelivered,
        )
    run_benchmark("webhooks", (measured,))
