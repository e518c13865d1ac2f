"""Packed: runs of layers as programs of packed kernels. One op a file; `schedule` is the way in."""
