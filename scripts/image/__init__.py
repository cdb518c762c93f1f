"""The image, built and tried without a Docker engine."""
