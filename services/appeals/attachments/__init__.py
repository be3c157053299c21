"""Photos of replies: uploaded, cleaned, stored, attached to one reply, removed when nothing uses them."""
