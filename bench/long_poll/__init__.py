"""The parts of `bench.listen`: a network that holds thousands of polls, and the two clients compared."""
