"""Benchmark: how fast a model runs, beside what else runs on the machine, and beside the machine's own limit."""

from __future__ import annotations

from intsim.benchmark.calls import intsim_call, onnxruntime_call, random_inputs
from intsim.benchmark.footprint import Footprint, peak_memory
from intsim.benchmark.macs import count_macs, macs_by_node
from intsim.benchmark.peak import peak_call
from intsim.benchmark.quiet import pinned
from intsim.benchmark.timing import Timing, interleave

__all__ = [
    "Footprint",
    "Timing",
    "count_macs",
    "interleave",
    "intsim_call",
    "macs_by_node",
    "onnxruntime_call",
    "peak_call",
    "peak_memory",
    "pinned",
    "random_inputs",
]
