"""The part of VKScript that clients use for the method `execute`."""
