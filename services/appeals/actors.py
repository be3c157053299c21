"""Actors that are not signed-in people."""

SYSTEM_ACTOR = "system"
# The page's staff, who reply in the network itself.
NETWORK_ACTOR = "network"
