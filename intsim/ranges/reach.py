"""Reach: the least and the greatest value that each adder of a layer has to hold, along the walk of its sums."""

from __future__ import annotations

from typing import Any

import numpy as np

from intsim.formats import round_quotient
from intsim.lowering.lowered import Layer
from intsim.ranges.bounds import signed_bits
from intsim.ranges.terms import TermIntervals, integers
from intsim.summation import Summation

Array = np.ndarray[Any, Any]


class Reach:
    """The least and the greatest value, by channel, that each adder of a layer has to hold."""

    def __init__(self, summation: Summation, layer: Layer, channels: int) -> None:
        self.summation = summation
        self.each = layer.parameters["overflow"] == "saturate" and summation.clamp == "product"
        self.accumulator = [0] * channels, [0] * channels
        self.tree = [0] * channels, [0] * channels
        self.spilled = [0] * channels, [0] * channels
        self.rounding = 0  # the most that the spills' rounding can move a sum

    def walk(
        self,
        terms: TermIntervals,
        low: Array,
        high: Array,
        exact: tuple[Array, Array],
        bias: list[int],
        constant: list[int],
    ) -> None:
        """Follow the sums of one window; low, high: [rows, K] in MAC order; exact: ends of the true sums."""
        s = self.summation
        first, last, added = (terms.rows(v) for v in ([0] * len(bias), bias, constant))
        acc = [terms.rows(bias), terms.rows(bias)] if s.bias_first else [first, first]
        if s.bias_first:
            last = first
            self.look(self.accumulator, terms, acc, self.each)
        error = 0
        blocks = [(a * terms.block, b * terms.block) for a, b in s.blocks(low.shape[1] // terms.block)]
        for number, (start, stop) in enumerate(blocks):
            if number:
                self.look(self.accumulator, terms, acc)
                acc = [integers(round_quotient(end, 1 << s.spill_shift, s.spill_rounding)) for end in acc]
                self.look(self.spilled, terms, acc)
                acc = [end << s.spill_shift for end in acc]
                error += (1 << s.spill_shift) - 1
                self.look(self.accumulator, terms, acc, self.each)
            steps = self.steps(terms, low[:, start:stop]), self.steps(terms, high[:, start:stop])
            if s.tree_bits is not None:
                self.look_at_nodes(terms, *steps)
            ends = [integers(step.sum(axis=(1, 2))) for step in steps]
            if self.each:
                sums = [step.sum(axis=2) for step in steps]
                if (sums[0] > 0).any() or (sums[1] < 0).any():  # else the last partial sum reaches farthest
                    partial = [integers(np.cumsum(v, axis=1)) for v in sums]
                    self.look(
                        self.accumulator,
                        terms,
                        [acc[0] + partial[0].min(axis=1, initial=0), acc[1] + partial[1].max(axis=1, initial=0)],
                    )
            acc = [a + e for a, e in zip(acc, ends, strict=True)]
            self.look(self.accumulator, terms, acc, self.each)
        self.rounding = max(self.rounding, error)
        if s.offsets is not None:
            self.look(self.accumulator, terms, acc)
            before = terms.rows(bias) if s.bias_first else first
            acc = [exact[0] + before - error, exact[1] + before + error]
            self.look(self.accumulator, terms, acc, self.each)
        acc = [a + last for a in acc]
        self.look(self.accumulator, terms, acc, self.each)
        self.look(self.accumulator, terms, [a + added for a in acc])

    def steps(self, terms: TermIntervals, ends: Array) -> Array:
        """[rows, steps, leaves]: the products of each step of a pass, the tree filled up with 0."""
        lanes = self.summation.lanes
        if lanes == 1:
            return ends[:, :, None]
        count = -(-ends.shape[1] // lanes)
        filled = np.zeros((len(ends), count * lanes), ends.dtype)
        filled[:, : ends.shape[1]] = ends
        leaves = np.zeros((len(ends), count, 1 << (lanes - 1).bit_length()), ends.dtype)
        leaves[:, :, :lanes] = filled.reshape(len(ends), count, lanes)
        return leaves

    def look_at_nodes(self, terms: TermIntervals, low: Array, high: Array) -> None:
        while low.shape[2] > 1:
            low, high = low[:, :, ::2] + low[:, :, 1::2], high[:, :, ::2] + high[:, :, 1::2]
            if low.shape[1]:
                self.look(self.tree, terms, [integers(low.min(axis=(1, 2))), integers(high.max(axis=(1, 2)))])

    def look(
        self, reach: tuple[list[int], list[int]], terms: TermIntervals, ends: list[Array], really: bool = True
    ) -> None:
        """Widen what has been reached to the ends, [rows] each."""
        if not really:
            return
        reach[0][:] = map(min, reach[0], terms.by_channel([ends[0]], min))
        reach[1][:] = map(max, reach[1], terms.by_channel([ends[1]], max))

    def tree_bits(self) -> tuple[int | None, int | None]:
        if self.summation.tree_bits is None:
            return None, None
        return signed_bits(min(self.tree[0]), max(self.tree[1])), self.summation.tree_bits

    def spill_bits(self, declared: int) -> tuple[int | None, int | None]:
        if self.summation.channels_per_pass is None:
            return None, None
        return signed_bits(min(self.spilled[0]), max(self.spilled[1])), self.summation.spill_bits or declared
