"""Benchmarks on recorded and generated data; run by `make bench-...`, never by `make test`."""
