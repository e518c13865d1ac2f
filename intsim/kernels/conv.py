"""Convolution: sums of products of codes in an accumulator of a declared width."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from intsim.kernels._jit import kernel
from intsim.kernels.layout import Array, contiguous, per_channel
from intsim.kernels.mac import (
    TILE,
    add_rows,
    add_rows_saturating,
    centre,
    centred_dtype,
    extremes,
    require_int64,
)
from intsim.kernels.parallel import Sharing, run_all
from intsim.kernels.saturate import accumulator_dtype, clamp, limits, wrap

PASS_BYTES = 8 << 20
"""Padded input that is made at a time: many images go in passes, so that it stays in cache and memory stays small."""


def conv(
    x: Array,
    w: Array,
    *,
    x_zero: int = 0,
    w_zero: Any = 0,
    bias: Array | None = None,
    strides: tuple[int, ...],
    pads: tuple[int, ...],
    dilations: tuple[int, ...],
    groups: int,
    accumulator_bits: int,
    overflow: str,
    check: bool = True,
    accumulate: str = "int64",
    pool: Sharing = run_all,
) -> tuple[Array, Array | None]:
    """The accumulators i32|i64[N, O, (H,) W], and where they overflowed, bool of that shape (None without check).

    acc[n, o, y, x] = sum over c, i, j of (x[n, g + c, y*s + i*d - p, …] - x_zero) * (w[o, c, i, j] - w_zero[o])
                      + bias[o]
    x: integers [N, C, (H,) W]. w: integers [O, C / groups, (KH,) KW]. w_zero, bias: scalar or [O]. pads: begins,
    then ends. accumulate: "int32" or "int64", the width of the sums on the way to the accumulator.
    overflow: `wrap`: two's complement, overflowed where the exact sum is outside; `saturate`: clamped after each
    addition (channel, row, column, then bias), overflowed where one was; `trap`: as `wrap`, and the caller raises.
    check=False: the caller knows that no sum leaves the range (or asks for `wrap` and not for where), so that any
    order will do. accumulate="int32" is the faster, and right if no exact sum leaves int32, or if
    accumulator_bits <= 32 and check=False.
    Raises ValueError for shapes that do not fit, and where int64 does not hold the exact sums (operands of 32 bits).
    """
    if x.ndim == 3:
        acc, over = conv(
            x[:, :, None],
            w[:, :, None],
            x_zero=x_zero,
            w_zero=w_zero,
            bias=bias,
            strides=(1, *strides),
            pads=(0, pads[0], 0, pads[1]),
            dilations=(1, *dilations),
            groups=groups,
            accumulator_bits=accumulator_bits,
            overflow=overflow,
            check=check,
            accumulate=accumulate,
            pool=pool,
        )
        return acc[:, :, 0], None if over is None else over[:, :, 0]
    images, outputs = x.shape[0], w.shape[0]
    if x.shape[1] != groups * w.shape[1] or outputs % groups:
        raise ValueError(f"groups must split x {x.shape} and w {w.shape} evenly, not {groups!r}")
    sums = contiguous(np.broadcast_to(per_channel(0 if bias is None else bias), outputs))
    zeros = per_channel(w_zero)
    x_range, w_range = extremes(x, x_zero), extremes(w, zeros)
    require_int64(x_range, w_range, prod(w.shape[1:]), sums, accumulator_bits, overflow, check)

    ordered = overflow == "saturate" and check
    dtype = np.int32 if accumulate == "int32" and not ordered else np.int64
    weights = centre(w, zeros.reshape(-1, 1, 1, 1), dtype).reshape(outputs, -1)
    shape, phases, plane, offsets = _geometry(x.shape, w.shape, strides, pads, dilations)
    acc = np.empty((images, outputs, *shape), accumulator_dtype(accumulator_bits))
    over = np.empty(acc.shape if check else (0, 0, 0, 0), np.bool_)
    if acc.size == 0:
        return acc, over if check else None

    source = contiguous(x)
    centred = centred_dtype(*x_range)
    image_bytes = x.shape[1] * len(phases) * prod(plane) * np.dtype(centred).itemsize
    at_once = max(1, PASS_BYTES // image_bytes)
    group = (outputs // groups, x.shape[1] // groups * len(phases) * prod(plane))
    rows = _saturating_rows if ordered else _rows
    parameters = (offsets, weights, sums, group, plane[1], accumulator_bits, *limits(accumulator_bits, True), check)

    def run_pass(part: slice) -> None:
        images = source[part]
        planes = np.empty((len(images) * x.shape[1], len(phases), *plane), centred)
        lines = images.reshape(-1, *x.shape[2:])
        pool(lambda start, stop: _spread(lines, x_zero, phases, strides, pads[:2], planes, start, stop), len(planes))
        flat, out, flags = planes.reshape(len(images), -1), acc[part], over[part]
        pool(lambda start, stop: rows(flat, *parameters, out, flags, start, stop), len(images) * outputs)

    for first in range(0, images, at_once):
        run_pass(slice(first, first + at_once))
    return acc, over if check else None


def _geometry(
    x: tuple[int, ...],
    w: tuple[int, ...],
    strides: tuple[int, ...],
    pads: tuple[int, ...],
    dilations: tuple[int, ...],
) -> tuple[tuple[int, int], Array, tuple[int, int], Array]:
    """Output height and width, the phases [P, 2], height and width of a phase plane, and each tap's offset.

    Phase (r, c) of a padded image is its every stride-th row from r and column from c. In its phase each kernel tap
    reads one contiguous run for many output rows, whatever strides, pads and dilations are: the output position
    (y, x) lies at y * width + x, and the tap adds a constant. Between the rows a few sums are computed in vain.
    """
    height, width = (
        (x[2 + d] + pads[d] + pads[2 + d] - dilations[d] * (w[2 + d] - 1) - 1) // strides[d] + 1 for d in (0, 1)
    )
    if height < 1 or width < 1:
        raise ValueError(f"kernel {w[2:]} with dilations {dilations} must fit in {x[2:]} with pads {pads}")
    taps = [(i * dilations[0], j * dilations[1]) for i in range(w[2]) for j in range(w[3])]
    phases = sorted({(i % strides[0], j % strides[1]) for i, j in taps})
    plane = (
        height + (w[2] - 1) * dilations[0] // strides[0],
        width + (w[3] - 1) * dilations[1] // strides[1],
    )
    within = np.array(
        [
            phases.index((i % strides[0], j % strides[1])) * prod(plane) + i // strides[0] * plane[1] + j // strides[1]
            for i, j in taps
        ],
        np.int64,
    )
    channel = np.arange(w[1], dtype=np.int64) * (len(phases) * prod(plane))
    offsets = (channel[:, None] + within).reshape(-1)
    return (height, width), np.array(phases, np.int64), plane, offsets


@kernel
def _spread(x: Any, zero: Any, phases: Any, strides: Any, pads: Any, planes: Any, start: Any, stop: Any) -> None:
    """planes[r, p, i, j] = x[r, i*stride + phase - pad, …] - zero, and 0 outside the image."""
    height, width = x.shape[1], x.shape[2]
    for row in range(start, stop):
        for p in range(phases.shape[0]):
            left = phases[p, 1] - pads[1]
            for i in range(planes.shape[2]):
                line = planes[row, p, i]
                line[:] = 0
                y = i * strides[0] + phases[p, 0] - pads[0]
                if 0 <= y < height:
                    first = max(0, -(left // strides[1]))
                    end = min(line.shape[0], (width - 1 - left) // strides[1] + 1)
                    for j in range(first, end):
                        line[j] = np.int64(x[row, y, left + j * strides[1]]) - zero


@kernel
def _rows(
    planes: Any,
    offsets: Any,
    weights: Any,
    bias: Any,
    group: Any,
    pitch: Any,
    bits: Any,
    low: Any,
    high: Any,
    check: Any,
    out: Any,
    over: Any,
    start: Any,
    stop: Any,
) -> None:
    """Rows [start, stop) of the [N * O] output planes; sums in any order, modulo 2**32 or 2**64."""
    outputs, height, width = out.shape[1], out.shape[2], out.shape[3]
    lines = min(height, max(1, TILE // pitch))
    sums = np.empty((lines - 1) * pitch + width, weights.dtype)
    for row in range(start, stop):
        n, o = row // outputs, row % outputs
        base = o // group[0] * group[1]
        for top in range(0, height, lines):
            count = min(lines, height - top)
            acc = sums[: (count - 1) * pitch + width]
            acc[:] = 0
            add_rows(acc, planes[n, base + top * pitch :], offsets, weights[o])
            for y in range(count):
                for x in range(width):
                    total = np.int64(acc[y * pitch + x]) + bias[o]
                    out[n, o, top + y, x] = wrap(total, bits)
                    if check:
                        over[n, o, top + y, x] = total < low or total > high


@kernel
def _saturating_rows(
    planes: Any,
    offsets: Any,
    weights: Any,
    bias: Any,
    group: Any,
    pitch: Any,
    bits: Any,
    low: Any,
    high: Any,
    check: Any,
    out: Any,
    over: Any,
    start: Any,
    stop: Any,
) -> None:
    """Rows [start, stop) of the [N * O] output planes; each sum clamped, taps in order, the bias last."""
    outputs, height, width = out.shape[1], out.shape[2], out.shape[3]
    lines = min(height, max(1, TILE // pitch))
    sums = np.empty((lines - 1) * pitch + width, np.int64)
    flags = np.empty(sums.shape[0], np.bool_)
    for row in range(start, stop):
        n, o = row // outputs, row % outputs
        base = o // group[0] * group[1]
        for top in range(0, height, lines):
            count = min(lines, height - top)
            acc, clamped = sums[: (count - 1) * pitch + width], flags[: (count - 1) * pitch + width]
            acc[:] = 0
            clamped[:] = False
            add_rows_saturating(acc, clamped, planes[n, base + top * pitch :], offsets, weights[o], low, high)
            for y in range(count):
                for x in range(width):
                    total = acc[y * pitch + x] + bias[o]
                    value = clamp(total, low, high)
                    out[n, o, top + y, x] = value
                    over[n, o, top + y, x] = clamped[y * pitch + x] or value != total
