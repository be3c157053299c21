"""Memory and CPU use of an idle installation and of an installation with a few messages."""

import time
from pathlib import Path

from tests.containers.engine import BarMissedError
from tests.containers.first_start import megabytes
from tests.containers.installation import Installation

MAX_MEMORY_MB = 900
MAX_CPU_PERCENT = 10
CITIZENS_PER_MINUTE = 24
_SECONDS = 60
_CGROUPS = Path("/sys/fs/cgroup")
_EMULATORS = ("vk-1", "ok-1")


def stats(installation: Installation) -> str:
    """Measure memory and CPU use of all containers but the emulators, without and with messages."""
    per_network = CITIZENS_PER_MINUTE / len(installation.networks)
    memory = _memory(installation)
    idle = sum(_cpu_percent(installation).values())
    for network in installation.networks.values():
        network.json("POST", "/citizen-rate", json={"per_minute": per_network})
    try:
        busy = _cpu_percent(installation)
    finally:
        for network in installation.networks.values():
            network.json("POST", "/citizen-rate", json={"per_minute": 0})
    total, share = sum(memory.values()), sum(busy.values())
    figures = (
        f"{total:.0f} MB in all ({_largest_first(memory)}); {idle:.0f} % of a core idle, {share:.0f} % with "
        f"{CITIZENS_PER_MINUTE} citizens a minute ({_largest_first(busy)})"
    )
    if total > MAX_MEMORY_MB or share > MAX_CPU_PERCENT:
        raise BarMissedError(f"{figures}; allowed are {MAX_MEMORY_MB} MB and {MAX_CPU_PERCENT} %")
    return figures


def _memory(installation: Installation) -> dict[str, float]:
    """Return the megabytes of memory by container, as the engine counts them: without page cache."""
    ids = " ".join(installation.containers())
    rows = installation.command(f"docker stats --no-stream --format '{{{{.Name}}}} {{{{.MemUsage}}}}' {ids}")
    sizes = (line.split(maxsplit=1) for line in rows.splitlines())
    return {
        name.removeprefix("gospablik-").removesuffix("-1"): megabytes(usage.partition(" / ")[0])
        for name, usage in sizes
        if not name.endswith(_EMULATORS)
    }


def _largest_first(figures: dict[str, float]) -> str:
    return ", ".join(f"{name} {figure:.0f}" for name, figure in sorted(figures.items(), key=lambda item: -item[1]))


def _cpu_percent(installation: Installation) -> dict[str, float]:
    """Return the CPU use of each container in percent of one core, measured over a minute."""
    ids = " ".join(installation.containers())
    rows = installation.command(f"docker inspect --format '{{{{.Name}}}} {{{{.State.Pid}}}}' {ids}").splitlines()
    processes = {name.lstrip("/"): int(pid) for name, pid in map(str.split, rows) if not name.endswith(_EMULATORS)}
    began = time.monotonic()
    before = {name: _cpu_seconds(process) for name, process in processes.items()}
    time.sleep(_SECONDS)
    passed = time.monotonic() - began
    return {
        name.removeprefix("gospablik-").removesuffix("-1"): 100 * (_cpu_seconds(process) - before[name]) / passed
        for name, process in processes.items()
    }


def _cpu_seconds(process: int) -> float:
    """Return the CPU seconds used by the container of this process, from its control group."""
    paths: dict[str, str] = {}
    for line in Path(f"/proc/{process}/cgroup").read_text(encoding="utf-8").splitlines():
        _, controllers, path = line.split(":", 2)
        paths |= dict.fromkeys(controllers.split(","), path.lstrip("/"))
    if "cpuacct" in paths:
        return int((_CGROUPS / "cpuacct" / paths["cpuacct"] / "cpuacct.usage").read_text()) / 1e9
    rows = (_CGROUPS / paths[""] / "cpu.stat").read_text(encoding="utf-8").splitlines()
    return next(int(row.split()[1]) for row in rows if row.startswith("usage_usec")) / 1e6
