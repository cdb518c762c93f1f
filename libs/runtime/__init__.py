"""What every process needs: settings, logs, health, metrics, start and stop, the gRPC door."""
