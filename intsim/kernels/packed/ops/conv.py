"""Convolution and matrix product with constant weights: implicit GEMM on packed buffers."""

from __future__ import annotations

import functools
from typing import Any

from numba import carray, types

from intsim.kernels._jit import op
from intsim.kernels.packed.epilogues import EPILOGUES
from intsim.kernels.packed.ir import VECTORS
from intsim.kernels.packed.memory import as_row, at, stack
from intsim.kernels.packed.rows import FREE, IN, OUT
from intsim.kernels.packed.tile import add_lanes, tile

ROW_OFFSETS, TAP_OFFSETS, TAPS, STEPS, WEIGHTS, PARAMETERS, OUT_OFFSETS, PIXELS, TILES, GROUP_BLOCKS, GROUP_BYTES = (
    range(FREE, FREE + 11)
)
"""int64 offsets of each output pixel's window in the input; of each tap; how many taps; 4-byte steps a tap; packed
weights and parameters, block after block; offsets of each output pixel; pixels; tiles a block (their number over
pixels); blocks of a group of channels, and the bytes of a group's input channels, 0 where there is one group."""


@functools.cache
def make(pixels: int, vectors: int, epilogue: int, isa: int, count: int) -> Any:
    """The cfunc of a tile shape; a unit is one tile, tile after tile of a block of `vectors` vectors of channels.

    The last tile of a block overlaps the one before it where the pixels are no multiple of `pixels`.
    """
    parameter_bytes = 4 * VECTORS[isa].lanes * vectors * (EPILOGUES[epilogue].starts + EPILOGUES[epilogue].vectors)
    step_bytes = VECTORS[isa].weight_bytes * VECTORS[isa].parts * vectors
    out_bytes = VECTORS[isa].lanes * vectors * EPILOGUES[epilogue].bytes

    count_bytes = 2 * 4 * VECTORS[isa].lanes

    def conv(row: Any, start: Any, stop: Any) -> Any:
        r = as_row(row)
        counts = stack(count_bytes)
        if count:
            carray(at(counts), count_bytes, types.uint8)[:] = 0
        tiles, most = r[TILES], r[PIXELS] - pixels
        block_bytes = r[TAPS] * r[STEPS] * step_bytes
        block = start // tiles
        first = (start - block * tiles) * pixels
        for _ in range(start, stop):
            pixel = min(first, most)
            group = block // r[GROUP_BLOCKS] if r[GROUP_BYTES] else 0
            tile(
                pixels,
                vectors,
                epilogue,
                isa,
                count,
                row,
                r[IN] + group * r[GROUP_BYTES],
                r[ROW_OFFSETS] + 8 * pixel,
                r[TAP_OFFSETS],
                r[TAPS],
                r[STEPS],
                r[WEIGHTS] + block * block_bytes,
                r[PARAMETERS] + block * parameter_bytes,
                r[OUT] + block * out_bytes,
                r[OUT_OFFSETS] + 8 * pixel,
                first - pixel,
                counts,
            )
            first += pixels
            if first == tiles * pixels:
                first, block = 0, block + 1
        if count:
            add_lanes(isa, row, counts)
        return 0

    return op(conv)
