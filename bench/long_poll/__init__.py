"""The parts of `bench.listen`: a server that holds thousands of polls, and the two clients compared."""
