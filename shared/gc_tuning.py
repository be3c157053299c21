"""How often Python looks for cycles of garbage: at its defaults a third of a busy worker's time."""

import gc

_NEW_OBJECTS = 50_000
_ROUNDS = 20


def settle() -> None:
    """Call once a process has loaded all that lives as long as it: that is not looked through again.

    What is made later is looked through after every 50,000 objects, not after 700; a batch makes that many.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, _ROUNDS, _ROUNDS)
