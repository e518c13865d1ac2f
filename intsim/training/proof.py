"""Proof that float arithmetic is exact: a bound on every partial sum, and a test of this build's own kernels.

A float32 holds every integer up to 2**24, a float64 up to 2**53. A sum of products of codes is exact in any order if
sum |w| * max|x| + |bias| + the rounding half, in units of the accumulator, does not exceed that: then no partial sum
does. This holds for algorithms that only add such products; those that transform their operands first (Winograd, FFT,
NNPACK) or round them (TF32, bfloat16) are switched off or refused.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import functional

from intsim.errors import OutOfDomain, UnusableInput

EXACT = {torch.float32: 1 << 24, torch.float64: 1 << 53}
"""Carrier -> the magnitude up to which it holds every integer."""


def carrier(bound: float, name: str) -> torch.dtype:
    """The narrowest dtype in which sums up to `bound` are exact. Errors: OutOfDomain where none is."""
    for dtype, largest in EXACT.items():
        if bound <= largest:
            return dtype
    raise OutOfDomain(f"layer {name!r}: its accumulator may reach 2**{bound:.0f}; no float holds it: use fewer bits")


def sum_bound(weights: Tensor, bits: int) -> float:
    """The largest magnitude of sum w * x for signed codes x of that many bits, over the output channels (axis 0).

    weights: integer codes on a carrier. The sums of magnitudes are made in float64, where they are exact.
    """
    return float(weights.detach().abs().flatten(1).sum(1, dtype=torch.float64).max()) * 2.0 ** (bits - 1)


@contextmanager
def exact_kernels() -> Iterator[None]:
    """While it lasts, PyTorch multiplies and adds as the proof assumes.

    Errors: UnusableInput inside autocast, or where this build fails the self-test.
    """
    if torch.is_autocast_enabled("cpu") or torch.is_autocast_enabled("cuda"):
        raise UnusableInput("autocast rounds codes to 16 bits; run the quantized module outside of it")
    with _no_shortcuts():
        check_build()
        yield


@contextmanager
def _no_shortcuts() -> Iterator[None]:
    tf32 = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    nnpack = torch.backends.nnpack.set_flags(False)  # type: ignore[no-untyped-call]
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.nnpack.set_flags(*nnpack)  # type: ignore[no-untyped-call]
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = tf32


@functools.cache
def check_build() -> None:
    """Run convolutions and matrix products whose sums come close to 2**24, and compare them with float64.

    Errors: UnusableInput where one differs: this build of PyTorch cannot be used.
    """
    random = torch.Generator().manual_seed(24)
    for batch, inputs, outputs, size, kernel, groups in (
        (2, 16, 16, 12, 3, 1),
        (17, 16, 32, 9, 3, 1),
        (17, 32, 32, 8, 5, 1),
        (16, 64, 64, 6, 1, 1),
        (16, 32, 32, 8, 3, 32),
    ):
        most = (1 << 24) // (128 * kernel * kernel * inputs // groups)
        x = torch.randint(0, 128, (batch, inputs, size, size), generator=random).to(torch.float32)
        w = torch.randint(0, most + 1, (outputs, inputs // groups, kernel, kernel), generator=random).to(x.dtype)
        expected = functional.conv2d(x.double(), w.double(), padding=kernel // 2, groups=groups)
        for layout in (torch.contiguous_format, torch.channels_last):
            found = functional.conv2d(
                x.to(memory_format=layout), w.to(memory_format=layout), None, 1, kernel // 2, 1, groups
            )
            _compare(found, expected, f"conv2d of {inputs} channels, {kernel} x {kernel}, {groups} groups")
    a = torch.randint(0, 128, (33, 1000), generator=random).to(torch.float32)
    b = torch.randint(0, 128, (40, 1000), generator=random).to(torch.float32)
    _compare(functional.linear(a, b), functional.linear(a.double(), b.double()), "linear of 1000 features")


def _compare(found: Tensor, expected: Tensor, what: str) -> None:
    wrong = int((found.double() != expected).sum())
    if wrong:
        raise UnusableInput(
            f"this build of PyTorch ({torch.__version__}) is not exact: {what}: {wrong} of {expected.numel()} sums of "
            f"integers below 2**24 are wrong; use another build"
        )
