"""Speed and memory against what a user would use instead, both sides in one run."""
