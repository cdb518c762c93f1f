"""Libraries the services stand on. They never import a service."""
