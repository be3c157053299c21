"""Who acts where no person of ours does."""

SYSTEM_ACTOR = "system"
# The page's staff, who write by hand in the network itself.
NETWORK_ACTOR = "network"
