"""Random networks of products, convolutions, moves and sums: layouts meet in every order, and no bit changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod

import numpy as np
import pytest

from intsim.formats import Format
from intsim.plan import make_plan
from tests.kernels.packed.run import in_turn, needs_instructions
from tests.plan.packed.chains import Network, form
from tests.plan.packed.ops.test_matmul import constant_product, product
from tests.plan.packed.paths import agree

pytestmark = needs_instructions

FORMATS = [
    Format(8, signed=False, scale=(0.125,), zero_point=(113,)),
    Format(8, scale=(0.125,), zero_point=(-3,)),
    Format(16, signed=False, scale=(0.125,), zero_point=(300,)),
]
LENGTHS = [1, 2, 3, 5, 16, 17, 20]
LARGEST = 20000
"""Elements of a value that grows no more."""


class Growing(Network):
    """A network to which random layers are added; formats: of each value that may be read."""

    def __init__(self, seed: int) -> None:
        super().__init__(images=1 + seed % 3, seed=seed)
        self.formats: dict[str, Format] = {}
        self.add(self.input("x", tuple(self.length() for _ in range(1 + seed % 2 + seed // 2 % 2)), self.format()))

    def format(self) -> Format:
        """One of FORMATS, mostly of 8 bits."""
        return FORMATS[self.random.choice(len(FORMATS), p=[0.45, 0.45, 0.1])]

    def length(self) -> int:
        """A length of an axis."""
        return int(self.random.choice(LENGTHS))

    def add(self, name: str, format: Format | None = None) -> None:
        """Let later layers read a value."""
        self.formats[name] = format or self.inputs[name][1]

    def pick(self, names: list[str]) -> str:
        """One of the names."""
        return names[int(self.random.integers(len(names)))]

    def grow(self) -> None:
        """Read one of the last values, if the layer that is drawn can."""
        x = self.pick(list(self.formats)[-3:])
        if self.values[x].size <= LARGEST:
            LAYERS[self.pick(list(LAYERS))](self, x, f"v{len(self.layers)}")

    def axis(self, x: str) -> int:
        """An axis of a value, not the batch."""
        return int(self.random.integers(1, self.values[x].ndim))


def _constant_product(net: Growing, x: str, name: str) -> None:
    format = net.format()
    net.add(constant_product(net, name, x, net.length(), net.formats[x].zero_point[0], format), format)


def _product(net: Growing, x: str, name: str) -> None:
    shape, format = net.values[x].shape, net.format()
    if len(shape) > 2:
        found = [n for n in net.formats if net.values[n].shape[1:-1] == (*shape[1:-2], shape[-1])]
        if not found:
            net.add(net.input(f"{name}.b", (*shape[1:-2], shape[-1], net.length()), net.format()))
            found = [f"{name}.b"]
        b = net.pick(found)
        net.add(product(net, name, x, b, (net.formats[x], net.formats[b], format)), format)


def _convolution(net: Growing, x: str, name: str) -> None:
    if net.values[x].ndim == 4:
        format = net.format()
        net.add(net.conv(name, x, net.length(), format, x_zero=net.formats[x].zero_point[0]), format)


def _reshape(net: Growing, x: str, name: str) -> None:
    own = net.values[x].shape[1:]
    elements = prod(own)
    pairs = [(n, elements // n) for n in range(1, elements + 1) if elements % n == 0]
    shapes = [(elements,), *pairs, *[(a, n, b // n) for a, b in pairs for n in own if b % n == 0]]
    shape = shapes[int(net.random.integers(len(shapes)))]
    net.add(net.layer(name, "reshape", x, net.formats[x], shape=(0, *shape)), net.formats[x])


def _transpose(net: Growing, x: str, name: str) -> None:
    perm = (0, *(1 + net.random.permutation(net.values[x].ndim - 1)).tolist())
    net.add(net.layer(name, "transpose", x, net.formats[x], perm=perm), net.formats[x])


def _slice(net: Growing, x: str, name: str) -> None:
    axis = net.axis(x)
    start = int(net.random.integers(net.values[x].shape[axis]))
    cut = {"starts": (start,), "ends": (start + net.length(),), "axes": (axis,), "steps": (1 + start % 2,)}
    net.add(net.layer(name, "slice", x, net.formats[x], **cut), net.formats[x])


def _pad(net: Growing, x: str, name: str) -> None:
    rank = net.values[x].ndim
    pads = net.random.integers(0, 3, (2, rank))
    pads[:, 0] = 0
    mode = net.pick(["constant", "edge"])
    padded = net.layer(name, "pad", x, net.formats[x], pads=tuple(pads.ravel().tolist()), mode=mode, value=9)
    net.add(padded, net.formats[x])


def _concat(net: Growing, x: str, name: str) -> None:
    axis, shape = net.axis(x), net.values[x].shape
    found = [n for n, format in net.formats.items() if format == net.formats[x] and net.values[n].ndim == len(shape)]
    found = [n for n in found if np.delete(net.values[n].shape, axis).tolist() == np.delete(shape, axis).tolist()]
    net.add(net.layer(name, "concat", f"{x} {net.pick(found)}", net.formats[x], axis=axis), net.formats[x])


def _sum(net: Growing, x: str, name: str) -> None:
    shape, format = net.values[x].shape, net.format()
    found = [n for n in net.formats if net.values[n].ndim == len(shape)]
    found = [n for n in found if all(a == b or 1 in (a, b) for a, b in zip(net.values[n].shape, shape, strict=True))]
    y = net.pick(found)
    zeros = {"a_zero": net.formats[x].zero_point[0], "b_zero": net.formats[y].zero_point[0]}
    shifts = {"a_shift": 0, "b_shift": 1, "shift": 1, "rounding": "half_up"}
    net.add(net.layer(name, "add", f"{x} {y}", format, **zeros, **shifts, **form(format)), format)


def _clip(net: Growing, x: str, name: str) -> None:
    format = net.formats[x]
    net.add(net.layer(name, "clip", x, format, low=format.low + 20, high=format.high - 9), format)


LAYERS: Mapping[str, Callable[[Growing, str, str], None]] = {
    "constant product": _constant_product,
    "product": _product,
    "convolution": _convolution,
    "reshape": _reshape,
    "another reshape": _reshape,
    "transpose": _transpose,
    "another transpose": _transpose,
    "slice": _slice,
    "pad": _pad,
    "concat": _concat,
    "sum": _sum,
    "clip": _clip,
}


@pytest.mark.parametrize(("seed", "isas"), in_turn([(seed,) for seed in range(40)]))
def test_random_networks(seed: int, isas: tuple[str, ...]) -> None:
    net = Growing(seed)
    while len(net.layers) < 8:
        net.grow()
        if net.values[list(net.formats)[-1]].size > LARGEST:
            break
    agree(make_plan(net.lowered()), net.given, threads=1 + seed % 2, isas=isas)
