"""`python -m bench [--quick]`: every benchmark, one after the other."""

import subprocess
import sys

BENCHMARKS = (
    "freshness",
    "listen",
    "faults",
    "understanding",
    "hostile_texts",
    "sign_in",
    "topics",
    "pipeline",
    "registry_search",
)


def main() -> None:
    """Run them all; exit 1 when one fails."""
    failed = [
        name
        for name in BENCHMARKS
        if subprocess.run([sys.executable, "-m", f"bench.{name}", *sys.argv[1:]], check=False).returncode
    ]
    if failed:
        sys.exit(f"below the bar or broken: {', '.join(failed)}")


if __name__ == "__main__":
    main()
