"""What a deploy is and how reports from delivery systems become one. Pure."""
