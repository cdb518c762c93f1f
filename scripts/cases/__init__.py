"""Small inputs that failed once, sent through every door they can come by."""
