"""Events that VK pushes: Long Poll and the Callback API."""
