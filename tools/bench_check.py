"""Whether what bench.py is about to time is right: ONNX Runtime's codes, or the spec's."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

import intsim
from intsim.benchmark import macs_by_node
from intsim.comparison.peers.peer import all_codes, taps_of_codes
from intsim.lowering.lowered import MAC_LAYERS
from intsim.run.inputs import values_of
from intsim.run.reference import run_layer
from tests.processor import has_vnni

Array = np.ndarray[Any, Any]

WITHOUT_VNNI = "this processor has no VNNI, so ONNX Runtime saturates sums in 16 bits; give --target diffquant"

BUDGET = 250_000_000
"""MACs that the spec, which is slow, computes in one check."""


def check_onnxruntime(model: intsim.Model, x: Array) -> str:
    """What was compared with ONNX Runtime on the same file, every tensor. Errors: SystemExit where a code differs."""
    comparison = intsim.compare(model, "onnxruntime", x)
    if not comparison.equal:
        hint = "" if has_vnni() else f"\n{WITHOUT_VNNI}"
        raise SystemExit(f"not timed, the codes are not ONNX Runtime's: {comparison.summary()}{hint}")
    return f"{comparison.compared} tensors equal ONNX Runtime's"


def check_spec(model: intsim.Model, x: Array) -> str:
    """What was compared with the spec: each layer on the inputs that it had. Errors: SystemExit where a code differs.

    The layers with the fewest MACs, as many as fit in BUDGET, and all layers without any; x: one image.
    """
    lowered = model.lowered
    codes = all_codes(model.run(x, taps=taps_of_codes(lowered)))
    known: dict[str, Array] = values_of(lowered, model.named_inputs(x))
    left_out = set(_too_large(model))
    compared = 0
    for layer in lowered.layers:
        name = layer.outputs[0]
        slow = layer.op in MAC_LAYERS and layer.node in left_out
        if not slow and all(n in known for n in layer.inputs):
            known[name] = run_layer(layer, [known[n] for n in layer.inputs], lowered.values[name])[0]
            if name in codes:
                compared += 1
                if not np.array_equal(known[name], codes[name]):
                    raise SystemExit(f"not timed, the codes of {name!r} are not the spec's")
        if name in codes:
            known[name] = codes[name]
    return f"{compared} of {len(codes)} tensors computed again by the spec, equal"


def _too_large(model: intsim.Model) -> list[str]:
    """The nodes whose products do not fit in BUDGET, by name."""
    nodes = sorted((macs or 0, name) for name, macs in macs_by_node(model).items())
    totals = itertools.accumulate(macs for macs, _ in nodes)
    return [name for total, (_, name) in zip(totals, nodes, strict=True) if total > BUDGET]
