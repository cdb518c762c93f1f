"""The detector's sources and outlets."""
