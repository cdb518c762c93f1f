"""The pure ranking: telemetry around an incident in, ranked causes with their evidence out."""
