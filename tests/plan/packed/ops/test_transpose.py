# mypy: disable-error-code="attr-defined"
"""Transposes within an image, as the engine runs them: of matrices, of images, and from one kind to the other."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

from intsim.formats import Format
from intsim.plan import make_plan
from intsim.plan.packed.ops import transpose
from tests.kernels.packed.run import ISAS, needs_instructions
from tests.plan.packed import paths
from tests.plan.packed.chains import Network, form
from tests.plan.packed.ops.test_matmul import constant_product, product
from tests.plan.packed.paths import agree, agree_all_packed
from tests.plan.packed.test_mutants import caught

pytestmark = needs_instructions

U8 = Format(8, signed=False, scale=(0.125,), zero_point=(113,))
S8 = Format(8, scale=(0.125,), zero_point=(-3,))


def turned(perm: tuple[int, ...], shape: tuple[int, ...], images: int = 2) -> Network:
    """A transpose between products of matrices."""
    net = Network(images)
    net.input("x", shape, U8)
    constant_product(net, "m", "x", shape[-1], 113, S8)
    net.layer("t", "transpose", "m", S8, perm=perm)
    constant_product(net, "y", "t", 7, -3, U8)
    return net


@pytest.mark.parametrize("perm", [(0, *(axis + 1 for axis in own)) for own in permutations(range(3))])
@pytest.mark.parametrize("shape", [(5, 18, 33), (20, 1, 3), (17, 16, 64)])
def test_stacks_of_matrices(perm: tuple[int, ...], shape: tuple[int, int, int]) -> None:
    net = turned(perm, shape)
    agree_all_packed(net.lowered(), net.given)


@pytest.mark.parametrize("shape", [(5, 18), (40, 33)])
def test_matrices(shape: tuple[int, int]) -> None:
    net = turned((0, 2, 1), shape)
    agree_all_packed(net.lowered(), net.given)


@pytest.mark.parametrize("perm", [(0, 1, 3, 2), (0, 2, 1, 3), (0, 3, 1, 2)])
def test_images(perm: tuple[int, ...]) -> None:
    """Between convolutions, whose images are padded."""
    net = Network()
    net.input("x", (20, 5, 9), U8)
    net.conv("c", "x", 20, S8, x_zero=113)
    net.layer("t", "transpose", "c", S8, perm=perm)
    net.conv("y", "t", 6, U8, pads=(2, 1, 0, 1), x_zero=-3)
    net.layer("u", "transpose", "y", U8, perm=(0, 3, 2, 1))
    agree_all_packed(net.lowered(), net.given)


@pytest.mark.parametrize("channels", [20, 16, 3])
def test_patches(channels: int) -> None:
    """A convolution's lines and columns as the rows of a matrix, and back; another one reads its image with padding."""
    net = Network()
    net.input("x", (3, 9, 10), U8)
    net.conv("c", "x", channels, S8, x_zero=113)
    height, width = net.values["c"].shape[2:]
    net.layer("patches", "reshape", "c", S8, shape=(0, channels, height * width))
    net.layer("tokens", "transpose", "patches", S8, perm=(0, 2, 1))
    constant_product(net, "m", "tokens", channels, -3, S8)
    net.layer("back", "transpose", "m", S8, perm=(0, 2, 1))
    net.layer("image", "reshape", "back", S8, shape=(0, channels, height, width))
    zeros = {"a_zero": -3, "b_zero": -3, "a_shift": 0, "b_shift": 0}
    net.layer("sum", "add", "image c", S8, **zeros, shift=1, rounding="half_up", **form(S8))
    net.conv("z", "c", 5, U8, x_zero=-3)
    net.conv("y", "sum", 5, U8, pads=(2, 2, 2, 2), x_zero=-3)
    for choices in agree(make_plan(net.lowered()), net.given).values():
        refused = {choice.layer.name: choice.refused for choice in choices if choice.refused}
        assert refused.keys() <= {"image", "sum"}, refused


def test_few_channels() -> None:
    """A pixel of 4 bytes."""
    net = Network()
    net.input("x", (3, 4, 20), U8)
    net.layer("t", "transpose", "x", U8, perm=(0, 3, 2, 1))
    net.layer("u", "transpose", "x", U8, perm=(0, 1, 3, 2))
    net.conv("y", "t", 5, S8, x_zero=113)
    net.conv("z", "u", 5, S8, x_zero=113)
    agree_all_packed(net.lowered(), net.given)


def test_another_format_behind_it() -> None:
    """What is moved and has no format of its own goes through a table."""
    net = Network()
    net.input("x", (5, 20), U8)
    constant_product(net, "m", "x", 20, 113, S8)
    net.layer("t#moved", "transpose", "m", S8, perm=(0, 2, 1))
    table = np.random.default_rng(0).permutation(256).astype(np.uint8)
    net.layer("t", "table", "t#moved", U8, table=table, low=-128)
    constant_product(net, "y", "t", 7, 113, S8)
    agree_all_packed(net.lowered(), net.given)


def test_attention() -> None:
    """Heads are split, multiplied and put together again, without a portable layer."""
    net = Network()
    tokens, heads, width = 13, 2, 16
    net.input("x", (tokens, heads * width), U8)
    for name, perm in (("q", (0, 2, 1, 3)), ("k", (0, 2, 3, 1)), ("v", (0, 2, 1, 3))):
        constant_product(net, name, "x", heads * width, 113, S8)
        net.layer(f"{name}.split", "reshape", name, S8, shape=(0, 0, heads, width))
        net.layer(f"{name}.heads", "transpose", f"{name}.split", S8, perm=perm)
    product(net, "scores", "q.heads", "k.heads", (S8, S8, U8))
    product(net, "mixed", "scores", "v.heads", (U8, S8, U8))
    net.layer("turned", "transpose", "mixed", U8, perm=(0, 2, 1, 3))
    net.layer("joined", "reshape", "turned", U8, shape=(0, 0, heads * width))
    constant_product(net, "y", "joined", heads * width, 113, S8)
    agree_all_packed(net.lowered(), net.given)


def test_batches_that_move() -> None:
    net = Network(images=5)
    net.input("x", (5, 20), U8)
    net.layer("c", "clip", "x", U8, low=3, high=250)
    net.layer("y", "transpose", "c", U8, perm=(1, 0, 2))
    for choices in agree(make_plan(net.lowered()), net.given).values():
        assert choices[-1].refused == "it moves elements between images"


def test_other_shapes_of_an_image() -> None:
    net = Network()
    net.input("x", (20, 4, 6), U8)
    net.conv("c", "x", 24, S8, x_zero=113)
    net.layer("r", "reshape", "c", S8, shape=(0, 4, 6, 24))
    net.layer("y", "transpose", "r", S8, perm=(0, 3, 1, 2))
    for choices in agree(make_plan(net.lowered()), net.given).values():
        assert choices[-1].refused == "its input is another shape of an image"


@pytest.mark.parametrize("perm", [(0, 2, 1, 3), (0, 2, 3, 1)])
def test_mutants(monkeypatch: pytest.MonkeyPatch, perm: tuple[int, ...]) -> None:
    """Lines, columns or channels that begin one too late; as if the axes were not moved."""
    monkeypatch.setattr(paths, "ISAS", ISAS[:1])
    right = transpose.axis_offsets
    net = turned(perm, (6, 18, 33))
    assert not caught(net)
    with monkeypatch.context() as patch:
        patch.setattr(transpose, "axis_offsets", lambda *arguments: np.roll(right(*arguments), 1))
        assert caught(net)
    accepted = transpose.PackedTranspose
    monkeypatch.setattr(
        transpose, "PackedTranspose", lambda layer, source, image, own: accepted(layer, source, image, own[::-1])
    )
    assert caught(turned(perm, (33, 33, 33)))


def test_channels_of_16_bits() -> None:
    wide = Format(16, scale=(2.0**-9,), zero_point=(-3,))
    net = Network()
    net.input("x", (20, 4, 5), wide)
    net.layer("c", "clip", "x", wide, low=-9000, high=9000)
    net.layer("t", "transpose", "c", wide, perm=(0, 1, 3, 2))
    net.layer("y", "transpose", "t", wide, perm=(0, 2, 1, 3))
    for choices in agree(make_plan(net.lowered()), net.given).values():
        assert not choices[1].refused
        assert choices[2].refused == "another axis becomes its channels, which has no packed form of 16-bit codes"


def test_formats_that_differ() -> None:
    net = Network()
    net.input("x", (20, 4), U8)
    net.layer("c", "clip", "x", U8, low=3, high=250)
    net.layer("y", "transpose", "c", replace(U8, zero_point=(7,)), perm=(0, 2, 1))
    for choices in agree(make_plan(net.lowered()), net.given).values():
        assert choices[-1].refused == "its formats differ"
