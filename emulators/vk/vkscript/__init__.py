"""VKScript, as far as clients write it for the method `execute`."""
