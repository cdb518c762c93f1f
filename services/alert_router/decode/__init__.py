"""From what senders write to alerts, and between alerts and events."""
