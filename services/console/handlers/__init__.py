"""What the console does: put pages together from several sources, and pass on what people decide."""
