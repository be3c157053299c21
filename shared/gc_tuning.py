"""Tuning of the garbage collector, which with default settings takes a third of a busy worker's time."""

import gc

_GENERATION_0_THRESHOLD = 50_000
_OLDER_GENERATION_THRESHOLD = 20


def freeze_startup_objects() -> None:
    """Freeze the objects loaded at startup, so that the collector skips them; call this once after loading.

    New objects are collected after every 50,000 allocations instead of 700: a batch allocates about 50,000.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GENERATION_0_THRESHOLD, _OLDER_GENERATION_THRESHOLD, _OLDER_GENERATION_THRESHOLD)
