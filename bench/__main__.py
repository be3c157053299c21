"""Run all benchmarks, one after another: `python -m bench [--quick]`."""

import subprocess
import sys

BENCHMARKS = (
    "freshness",
    "listen",
    "faults",
    "classification",
    "hostile_texts",
    "sign_in",
    "threads",
    "topics",
    "owners",
    "pipeline",
    "registry_search",
    "api",
    "console",
    "report",
    "webhooks",
)


def main() -> None:
    """Run all benchmarks; exit with 1 if one fails."""
    failed = [
        name
        for name in BENCHMARKS
        if subprocess.run([sys.executable, "-m", f"bench.{name}", *sys.argv[1:]], check=False).returncode
    ]
    if failed:
        sys.exit(f"below the bar or failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
