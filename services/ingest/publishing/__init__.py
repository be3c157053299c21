"""Publication of replies in the networks, exactly once."""
