"""Use cases: read the state, let the domain decide, write what it decided. Writes work on an open transaction."""
