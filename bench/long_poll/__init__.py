"""Parts of `bench.listen`: a server that holds thousands of polls, and the two compared clients."""
