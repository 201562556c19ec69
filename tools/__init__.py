"""What makes files that the package carries; not installed with it."""
