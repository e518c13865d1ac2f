"""Ranges: what an accumulator can reach, proved by channel by interval arithmetic on the real weights."""
