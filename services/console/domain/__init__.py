"""What a person sees, as plain values: pages, charts and the service map. Standard library only."""
