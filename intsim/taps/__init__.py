"""Taps: what can be observed of a run, and how: exact codes, raw accumulators, integer counts.

tap: the kinds, and what comes out. selection: the tensors that are asked for. observer: is shown each layer and fills
the taps. counters: where packed programs count. trace: the walk of one accumulator element.
"""
