"""The router's doors and stores."""
