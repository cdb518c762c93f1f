"""One outage of a 12-service shop, told end to end: real telemetry in, a named cause out.

`python -m scripts.demo --cause bad-deploy --seed 1` against a running stack (`make up`).
"""
