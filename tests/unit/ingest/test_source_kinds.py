"""The OpenAPI document lists the kinds of all sources."""

import importlib
import pkgutil
from collections.abc import Iterator

from services.ingest.networks import catalogue, ok, token_probe, vk
from services.ingest.publishing import publisher
from services.ingest.schemas.base import SOURCE_KINDS
from services.ingest.sync import backfill_runner, reconciliation_requests


def _sources() -> Iterator[str]:
    for package in (vk, ok):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if (source := getattr(importlib.import_module(module.name), "SOURCE", None)) is not None:
                yield source
    yield from (backfill_runner.SOURCE, reconciliation_requests.SOURCE, publisher.READ_BACK)


def test_documented_kinds_of_sources_equal_those_of_the_networks() -> None:
    assert catalogue.NETWORKS.keys() == {"vk", "ok"}
    assert set(_sources()) - {token_probe.SOURCE} == set(SOURCE_KINDS)
