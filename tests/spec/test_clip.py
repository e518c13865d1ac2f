from __future__ import annotations

import numpy as np
import pytest

from intsim import spec
from intsim.errors import OutOfDomain


def test_every_code() -> None:
    x = np.arange(-128, 128).astype(np.int8)
    for low, high in ((-128, 127), (0, 127), (-5, 90), (3, 3), (-1000, 1000)):
        codes = spec.clip(x, low=low, high=high)
        assert codes.dtype == np.int64
        assert codes.tolist() == [low if v < low else high if v > high else v for v in x.tolist()]
    assert spec.clip(2**70, low=0, high=5).tolist() == 5
    assert spec.clip(np.array([-(2**70), 2**70, 1], object), low=-(2**63), high=2**63 - 1).tolist()[2] == 1


def test_wrong_parameters() -> None:
    with pytest.raises(OutOfDomain, match="low must be at most high, not 1 with 0"):
        spec.clip(0, low=1, high=0)
    with pytest.raises(OutOfDomain, match=r"high must be an integer within .*, not 6.0"):
        spec.clip(0, low=1, high=6.0)  # type: ignore[arg-type]
    with pytest.raises(OutOfDomain, match=r"x must hold integers, not 0.5"):
        spec.clip(0.5, low=0, high=6)
