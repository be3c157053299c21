"""The subset of VKScript that clients use in the method `execute`."""
