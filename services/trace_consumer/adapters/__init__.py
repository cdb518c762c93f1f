"""The outside of the trace consumer's edge job."""
