"""An array with elements put around it, or taken off its ends."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from intsim.errors import OutOfDomain
from intsim.spec import checks
from intsim.spec.windows import LONGEST

MODES = ("constant", "reflect", "edge", "wrap")


def pad(x: npt.ArrayLike, *, pads: tuple[int, ...], mode: str, value: float = 0) -> npt.NDArray[Any]:
    """x with pads[i] elements more before axis i and pads[rank + i] after it; negative ones are taken off. Dtype kept.

    mode: `constant` (elements `value`: a code where x holds codes, a real where it holds reals), `reflect` (mirrored,
    the end element not repeated), `edge` (the end element), `wrap` (from the other end).
    Raises OutOfDomain. Source: ONNX's Pad.
    """
    array = np.asarray(x)
    checks.one_of(mode, MODES, "mode")
    amounts = checks.integers(pads, 2 * array.ndim, -LONGEST, LONGEST, "pads")
    pairs = list(zip(amounts[: array.ndim], amounts[array.ndim :], strict=True))
    for (before, after), length in zip(pairs, array.shape, strict=True):
        if length + min(before, 0) + min(after, 0) < 0:
            raise OutOfDomain(f"pads must leave elements of shape {array.shape}, not {pads!r}")
        if mode != "constant" and max(before, after) > 0 and length + min(before, 0) + min(after, 0) == 0:
            raise OutOfDomain(f"pads must leave elements to repeat of shape {array.shape}, not {pads!r}")
    cut = tuple(slice(max(-b, 0), n - max(-a, 0)) for (b, a), n in zip(pairs, array.shape, strict=True))
    around = [(max(b, 0), max(a, 0)) for b, a in pairs]
    if mode != "constant":
        return np.pad(array[cut], around, mode=mode)  # type: ignore[call-overload]
    _check_value(value, array.dtype)
    return np.pad(array[cut], around, constant_values=value)


def _check_value(value: Any, dtype: np.dtype[Any]) -> None:
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        checks.integer(value, int(limits.min), int(limits.max), "value")
