"""What the service does: webhooks in, look-ups and streams out."""
