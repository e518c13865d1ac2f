"""Flatten, Reshape, Transpose, Slice and Pad: codes move, none changes; the exponent stays."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from intsim.training.carriers import Coded


class Move(nn.Module):
    """y = move(x): the codes in another order or shape."""

    def __init__(self, move: Callable[[Tensor, int], Tensor]) -> None:
        super().__init__()
        self.move = move

    def exponent(self, x: int) -> int:
        """The output's exponent: the input's."""
        return x

    def forward(self, name: str, x: Coded) -> Coded:
        """The codes of the output. The move takes the exponent, too, for what it pads with."""
        return Coded(self.move(x.codes, x.exponent), x.exponent, x.bits)
