"""PyTorch's form of each op: f(attributes, *reals), one family a file; `FORMS` has them by name.

Attributes are a graph node's (intsim.graph). The arithmetic is torch's own, and differentiable where torch's is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from intsim.fakequant.ops import activation, combine, mac, movement, normalization, pooling

Form = Callable[..., Any]

FORMS: Mapping[str, Form] = {
    **mac.FORMS,
    **combine.FORMS,
    **activation.FORMS,
    **pooling.FORMS,
    **normalization.FORMS,
    **movement.FORMS,
}
"""Op -> its torch form. Ops that convert, and clamps of codes, have none: the fake quantizer of their output acts."""
