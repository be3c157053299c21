"""Events that OK pushes, and the subscriptions to them."""
