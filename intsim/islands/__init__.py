"""Islands: float arithmetic among the integers, where a machine computes in float32.

evaluate: the float32 form of each op. environment: the rounding mode and the denormals that it all relies on.
"""
