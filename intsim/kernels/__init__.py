"""Kernels: what each op computes, compiled by Numba; one op a file, with the stem and the arguments of its spec."""
