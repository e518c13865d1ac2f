from __future__ import annotations

import hashlib

import numpy as np

from intsim.demo.digests import BLOCK, block_digests


def test_whole_blocks_have_a_digest() -> None:
    codes = np.random.default_rng(1).integers(-128, 128, (2 * BLOCK + 5, 3, 2), dtype=np.int8)
    expected = [hashlib.sha256(codes[i * BLOCK : (i + 1) * BLOCK].tobytes()).hexdigest() for i in range(2)]
    assert block_digests(codes, len(codes)) == expected
    assert block_digests(codes[: BLOCK - 1], BLOCK - 1) == []


def test_layout_and_byte_order_do_not_matter() -> None:
    codes = np.random.default_rng(2).integers(-(2**15), 2**15, (BLOCK, 4, 3), dtype=np.int16)
    assert block_digests(np.asfortranarray(codes).astype(">i2"), BLOCK) == block_digests(codes, BLOCK)


def test_an_image_may_have_several_rows() -> None:
    codes = np.arange(4 * BLOCK, dtype=np.int16).reshape(4 * BLOCK, 1)
    assert block_digests(codes, 2 * BLOCK) == block_digests(codes.reshape(2 * BLOCK, 2), 2 * BLOCK)


def test_one_code_changes_its_block_alone() -> None:
    codes = np.zeros((3 * BLOCK, 2), np.int8)
    before = block_digests(codes, len(codes))
    codes[BLOCK, 1] = 1
    after = block_digests(codes, len(codes))
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, False, True]
