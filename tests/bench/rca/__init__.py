"""Root-cause ranking measured on recorded outages: `python -m tests.bench.rca --help`."""
