"""Speed from a committed event to a verified delivery: `python -m bench.webhooks [--quick] [--json]`.

Ours: numbering, fan-out to five endpoints, claims, sending and recording of results, in one process as in the
service. The floor: plain aiohttp sends the same signed bodies to the same receiver, over as many connections. The
receiver runs in its own process and verifies each signature. Unit: deliveries per second.
"""

from bench.measure import Measurement, run_benchmark
from bench.webhooks.measurement import in_process

if __name__ == "__main__":
    run_benchmark(
        "webhooks",
        (Measurement("webhooks", bar=0.25, unit="deliveries/s", full=10_000, quick=1_000, run=in_process),),
    )
