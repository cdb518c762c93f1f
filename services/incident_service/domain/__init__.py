"""Incidents as values, and the pure decisions that move them."""
