"""Who acts where no person of ours does."""

SYSTEM = "system"
# The page's staff, who write by hand in the network itself.
NETWORK = "network"
