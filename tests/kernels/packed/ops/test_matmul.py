"""A product of two matrices: each packed weight, then the tiles against the spec, in parts, nothing else written."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from intsim import spec
from intsim.kernels.packed.epilogues import NUMBERS
from intsim.kernels.packed.ops import matmul
from intsim.kernels.packed.ops.matmul import BLOCK
from intsim.kernels.packed.rows import IN, IN2, OUT, TOTAL
from tests.kernels.packed.run import Buffer, aligned, buffer, call, guarded, needs_instructions, run

pytestmark = needs_instructions

Array = npt.NDArray[Any]

make = functools.cache(matmul.make)
make_pack = functools.cache(matmul.make_pack)


def stored(matrices: Array) -> Buffer:
    """A stack of matrices u8[stacks, rows, columns] as an image, noise in the padded channels."""
    return Buffer((max(matrices.shape[2], 5), *matrices.shape[:2])).fill(_widened(matrices).transpose(2, 0, 1))


def _widened(matrices: Array) -> Array:
    """With columns of noise where a pixel of few channels would have but 4 bytes."""
    noise = np.random.default_rng(3).integers(0, 256, (*matrices.shape[:2], max(5 - matrices.shape[2], 0)))
    return np.concatenate([matrices, noise], axis=2)


def packed(b: Array, a_zero: int, b_zero: int, parts: int) -> tuple[Array, int]:
    """What `pack` makes of b u8[stacks, K, N], start values of 1000 + n; where its parameters begin."""
    stacks, terms, columns = b.shape
    blocks, steps = -(-columns // BLOCK), -(-terms // matmul.STEP)
    template = np.zeros((blocks, 1, BLOCK), np.int32)
    template.reshape(-1)[:columns] = 1000 + np.arange(columns)
    mask = np.where(np.arange(blocks * BLOCK) < columns, -1, 0).astype(np.int16)
    image, first = stored(b), stacks * blocks * steps * matmul.STEP_BYTES
    out, whole = buffer(first + stacks * template.nbytes)
    kept = aligned(template), aligned(mask)
    call(
        make_pack(0),
        {
            TOTAL: stacks * blocks,
            IN: image.address,
            OUT: out,
            matmul.BLOCKS: blocks,
            matmul.STEPS: steps,
            matmul.STACK: image.line,
            matmul.ROW: image.pixel,
            matmul.K: terms,
            matmul.A_ZERO: a_zero,
            matmul.B_ZERO: b_zero,
            matmul.MASK: kept[1],
            matmul.TEMPLATE: kept[0],
            matmul.PARAMETERS: first,
        },
        parts,
    )
    assert guarded(whole)
    return out, first


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 4, 16), (3, 7, 21), (1, 10, 33), (2, 3, 5)])
@pytest.mark.parametrize("zeros", [(0, 0), (255, 255), (0, 255), (113, 7)])
def test_pack(shape: tuple[int, int, int], zeros: tuple[int, int]) -> None:
    """Each weight at its place, 0 everywhere else; start values modulo 2**32."""
    stacks, terms, columns = shape
    b = np.random.default_rng(sum(shape)).integers(0, 256, shape)
    centred = b - zeros[1]
    for parts in (1, 2):
        out, first = packed(b, *zeros, parts)
        blocks, steps = -(-columns // BLOCK), -(-terms // 4)
        words = out[:first].view(np.int16).reshape(stacks, blocks, steps, 2, 2, 8, 2)
        # [stack, block, step, vector, k % 2, lane, k // 2] as [stack, step, k // 2, k % 2, block, vector, lane]
        got = words.transpose(0, 2, 6, 4, 1, 3, 5).reshape(stacks, 4 * steps, BLOCK * blocks)
        wanted = np.zeros_like(got)
        wanted[:, :terms, :columns] = centred
        np.testing.assert_array_equal(got, wanted)
        starts = np.zeros((stacks, BLOCK * blocks), np.int64)
        starts[:, :columns] = 1000 + np.arange(columns) - zeros[0] * centred.sum(axis=1)
        np.testing.assert_array_equal(out[first:].view(np.int32).reshape(starts.shape), starts)


@pytest.mark.parametrize("pixels", [1, 3, 4, 5, 6])
@pytest.mark.parametrize("shape", [(3, 5, 21), (1, 8, 16), (2, 1, 6), (2, 13, 40)])
def test_product(pixels: int, shape: tuple[int, int, int]) -> None:
    """Raw sums; rows that are no multiple of a tile, whose last one overlaps."""
    stacks, terms, columns = shape
    rows, random = pixels + 2 * (pixels > 1), np.random.default_rng(pixels)
    a, b = random.integers(0, 256, (stacks, rows, terms)), random.integers(0, 256, shape)
    a[0, 0], b[0, :, 0] = 255, 0
    zeros = 131, 255
    expected, _ = spec.matmul(
        a, b, a_zero=zeros[0], b_zero=zeros[1], bias=1000 + np.arange(columns), accumulator_bits=32, overflow="trap"
    )
    weights, first = packed(b, *zeros, 1)
    left, out = stored(a), Buffer((columns, stacks, rows), dtype=np.int32)
    blocks, tiles = -(-columns // BLOCK), -(-rows // pixels)
    columns_of_row = {
        IN: left.address,
        IN2: weights,
        matmul.BLOCKS: blocks,
        matmul.STEPS: -(-terms // 4),
        matmul.STACK: left.line,
        matmul.ROW_OFFSETS: np.arange(rows) * left.pixel,
        matmul.TAP_OFFSETS: np.zeros(1, np.int64),
        matmul.OUT_OFFSETS: np.arange(rows) * out.pixel,
        matmul.ROWS: rows,
        matmul.TILES: tiles,
        matmul.OUT_STACK: out.line,
        matmul.WEIGHT_STACK: 1,
        matmul.PARAMETERS2: first,
    }
    got = run(make(pixels, NUMBERS["raw"], 0), columns_of_row, stacks * blocks * tiles, out)
    np.testing.assert_array_equal(got.transpose(1, 2, 0), expected)
