"""Known defects, put back one at a time to show that a test fails with each."""
