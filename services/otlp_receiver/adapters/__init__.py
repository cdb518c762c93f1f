"""The outside of the receiver: the two doors and the broker."""
