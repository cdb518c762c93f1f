"""When a service behaves unlike itself. All pure."""
