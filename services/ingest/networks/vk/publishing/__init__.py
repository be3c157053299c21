"""Publication of replies in VK, with photos, and changes of published replies."""
