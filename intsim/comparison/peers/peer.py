"""Peer: the interface of what a model is compared with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from intsim.errors import UnusableInput
from intsim.graph import Graph
from intsim.lowering.lowered import Lowered
from intsim.run.result import Result

Array = np.ndarray[Any, Any]


class Peer(Protocol):
    """Gives the peer's tensors. name: how the tables call it. floating: it computes in float, so roundings differ."""

    name: str
    floating: bool

    def tensors(self, inputs: Mapping[str, Array], first_image: int) -> Mapping[str, Array]:
        """Codes (integer dtypes) and reals by ONNX tensor name for one chunk of the inputs, from first_image on."""
        ...


def coded_tensors(lowered: Lowered) -> list[str]:
    """The quantized tensors that a peer can have, in topological order: no constants, no steps inside a layer."""
    made = [name for layer in lowered.layers if layer.op != "constant" for name in layer.outputs]
    return [
        name
        for name in dict.fromkeys([*lowered.inputs.values(), *made])
        if name in lowered.graph.values and lowered.values[name] is not None
    ]


def taps_of_codes(lowered: Lowered) -> list[str]:
    """The taps for the codes of all coded_tensors; a `#` in a name keeps it out of patterns, so it is asked for."""
    names = coded_tensors(lowered)
    return [*(["codes"] if any("#" not in name for name in names) else []), *(f"codes@{n}" for n in names if "#" in n)]


def all_codes(result: Result) -> dict[str, Array]:
    """The codes of every tensor that was tapped for them."""
    return {name: tap.codes for name, tap in result.taps.items() if tap.codes is not None}


def all_tensors(result: Result) -> dict[str, Array]:
    """The codes of every tensor that was tapped for them, and the reals of the other outputs."""
    reals = {name: output.real for name, output in result.outputs.items()}
    return {**reals, **all_codes(result)}


def as_reals(graph: Graph, codes_of: Mapping[str, str], inputs: Mapping[str, Array]) -> dict[str, Array]:
    """What a float peer is fed: float32 reals for a real input (codes are dequantized), codes for a coded one.

    codes_of: graph input -> the value that holds its codes (Lowered.inputs).
    Errors: UnusableInput where codes are given and several quantizers read that input.
    """
    feeds = {}
    for name, x in inputs.items():
        own = graph.format(name)
        if own is not None:
            feeds[name] = x.astype(own.dtype, copy=False)
        elif x.dtype.kind in "iu":
            format = graph.format(codes_of[name])
            if format is None:
                raise UnusableInput(f"input {name!r} has several quantizers, so codes do not say its reals; give reals")
            feeds[name] = format.real(x)
        else:
            feeds[name] = x.astype(np.float32, copy=False)
    return feeds
