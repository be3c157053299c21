"""Steps that kill or stop workers, services and Postgres: /health reports it, nothing is lost or duplicated."""

import time

from tests.containers import citizens
from tests.containers.api import wait_until
from tests.containers.engine import StepFailedError
from tests.containers.installation import SERVICES, Installation

_PUBLISHING = {"vk": "wall.createComment", "ok": "discussions.addDiscussionComment"}


def blind(installation: Installation) -> str:
    """Stop two workers, then pause them: /health must name them, and pass again after their return."""
    stopped = ("ingest-worker", "appeals-worker")
    seen = []
    hanging = " ".join(installation.containers(*stopped))
    for what, stop, back in (
        ("stopped", f"docker compose stop {' '.join(stopped)}", f"docker compose start {' '.join(stopped)}"),
        ("hanging", f"docker pause {hanging}", f"docker unpause {hanging}"),
    ):
        installation.command(stop)
        # The gateway reuses a result for a second.
        wait_until(lambda: installation.health()[0] == 503, f"/health says fail after `{stop}`", seconds=10)
        _, document = installation.health()
        if missing := [name for name in stopped if name not in str(document.get("output"))]:
            raise StepFailedError(f"{what}: /health does not name {missing}: {document.get('output')}")
        began = time.monotonic()
        installation.command(back)
        wait_until(installation.passes, f"/health says pass after `{back}`", seconds=90)
        seen.append(
            f"{what}: 503, «{document['output']}», pass {time.monotonic() - began:.0f} s after their return"
        )
    return "; ".join(seen)


def dead_letters(installation: Installation) -> dict[str, int]:
    """Return the numbers of dead-lettered jobs by service, without zeros."""
    found = {
        name: installation.gospablik(f"{name}-worker", f"dead-letters {name}").splitlines() for name in SERVICES
    }
    return {name: len(lines) for name, lines in found.items() if lines}


def outages(installation: Installation) -> str:
    """Kill and restart Postgres under load, with one process of each service: no job may be dead-lettered."""
    killed = citizens.run_flow(
        installation,
        10,
        while_writing=lambda: installation.kill("postgres"),
        while_replying=lambda: installation.kill("postgres"),
    )
    restarted = citizens.run_flow(
        installation,
        10,
        while_writing=lambda: _restart_postgres(installation),
        while_replying=lambda: _restart_postgres(installation),
    )
    if left := dead_letters(installation):
        raise StepFailedError(f"dead-lettered jobs: {left}")
    return f"killed twice: {killed}; restarted twice: {restarted}; no dead letters"


def _restart_postgres(installation: Installation) -> None:
    installation.command("docker compose restart postgres")


def safety(installation: Installation) -> str:
    """Kill workers and Postgres and lose responses, with two processes of each: each reply is published once."""
    twice = " ".join(f"--scale {name}=2 --scale {name}-worker=2" for name in SERVICES)
    installation.up(twice)
    undisturbed = citizens.run_flow(installation, 10)

    def kill_workers() -> None:
        installation.kill("ingest-worker", "appeals-worker", "ingest")

    workers = citizens.run_flow(installation, 10, while_writing=kill_workers, while_replying=kill_workers)
    postgres = citizens.run_flow(installation, 10, while_replying=lambda: installation.kill("postgres"))
    lost = _lose_responses(installation)
    connections = installation.sql("select count(*) from pg_stat_activity")
    doubled = installation.sql(
        "select (select count(*) - count(distinct (network, kind, external_id)) from messages), "
        "(select count(*) - count(distinct message_id) from appeal_messages), "
        "(select count(*) - count(distinct (reply_id, part)) from publications)"
    )
    if doubled != "0|0|0":
        raise StepFailedError(f"rows that exist twice (messages, messages of appeals, publications): {doubled}")
    if left := dead_letters(installation):
        raise StepFailedError(f"dead-lettered jobs: {left}")
    installation.gospablik("registry", "audit verify")
    installation.up()
    return (
        f"undisturbed: {undisturbed}; workers killed twice: {workers}; Postgres killed: {postgres}; {lost}; "
        f"no row twice, no dead letters, audit chain whole; {connections} connections"
    )


def _lose_responses(installation: Installation) -> str:
    """Publish while calls are slow and 30 % of the responses are lost, and kill the worker meanwhile."""
    for name, network in installation.networks.items():
        network.json("POST", "/faults", json={"kind": "lost_response", "rate": 0.3, "method": _PUBLISHING[name]})
        network.json(
            "POST", "/faults", json={"kind": "slow", "rate": 1, "method": _PUBLISHING[name], "seconds": 2}
        )

    def kill_workers() -> None:
        time.sleep(2)  # so that calls are in flight
        installation.kill("ingest-worker")
        for network in installation.networks.values():
            network.call("DELETE", "/faults")

    return f"responses lost and workers killed: {citizens.run_flow(installation, 6, while_replying=kill_workers)}"
