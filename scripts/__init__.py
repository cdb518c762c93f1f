"""Command-line jobs, one file each."""
