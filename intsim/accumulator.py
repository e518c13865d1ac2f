"""Accumulator: how a machine adds up the products of a sum, as far as that is a fact about the machine."""

from __future__ import annotations

from dataclasses import dataclass

from intsim.errors import UnusableInput, shown
from intsim.formats import OVERFLOWS, ROUNDINGS
from intsim.summation import CLAMPS

MAC_AXES = ("channel", "row", "column")
"""The axes that a convolution's products are walked along."""

ZEROS_SUBTRACTED = ("before", "after", "after_unsigned")
"""When zero points are subtracted: from the codes before they are multiplied; from the sum of the raw codes' products;
from that sum, after signed activations were made unsigned (code + 2**(bits - 1)) to be multiplied."""

CONSTANT_ROUNDINGS = ("half_up", "half_down", "ceil", "floor")
"""The rounding rules that add one constant and cut off the rest, so that the accumulator's own adder can do it."""

TREE_LAYERS = ("all", "dense_unsigned_by_signed")
"""Which layers have the tree: all, or those of unsigned activations by signed weights that are not depthwise; others
are exact."""

WIDEST = 64


@dataclass(frozen=True, kw_only=True)
class Accumulator:
    """Facts about an accumulator, beside its width and overflow rule; a Target has all of them as its own fields.

    saturate_after: whether a saturating accumulator clamps after every `product` (or tree of them) or at the `end`.
    mac_order: MAC_AXES in the order in which products are added, outermost first.
    lanes: products that are added as a binary tree before the accumulator; tree_bits and tree_overflow: what a node of
    that tree holds (None: as many bits as it needs); tree_layers: one of TREE_LAYERS.
    channels_per_pass: input channels (of a matrix product: terms) after which the partial sum is spilled, None: all at
    once; spilled in spill_bits (None: the accumulator's) after a shift to the right by spill_shift, rounded by
    spill_rounding, by the overflow rule spill_overflow.
    bias_added: `last`, or `first`: preloaded. bias_bits: the width of bias codes; None: whatever they need.
    zeros_subtracted: one of ZEROS_SUBTRACTED.
    rounding_constant: added `outside` the accumulator's bits, in an unbounded sum, or `inside` them.
    """

    saturate_after: str = "product"
    mac_order: tuple[str, ...] = MAC_AXES
    lanes: int = 1
    tree_bits: int | None = None
    tree_overflow: str = "wrap"
    tree_layers: str = "all"
    channels_per_pass: int | None = None
    spill_bits: int | None = None
    spill_shift: int = 0
    spill_rounding: str = "half_up"
    spill_overflow: str = "saturate"
    bias_added: str = "last"
    bias_bits: int | None = None
    zeros_subtracted: str = "before"
    rounding_constant: str = "outside"

    def check_accumulator(self, where: str, requantizer: str, rounding: str) -> None:
        """Raise UnusableInput for what no machine can be; requantizer and rounding are the target's."""
        for key, known in (
            ("saturate_after", CLAMPS),
            ("tree_overflow", OVERFLOWS),
            ("tree_layers", TREE_LAYERS),
            ("spill_rounding", ROUNDINGS),
            ("spill_overflow", OVERFLOWS),
            ("bias_added", ("last", "first")),
            ("zeros_subtracted", ZEROS_SUBTRACTED),
            ("rounding_constant", ("outside", "inside")),
        ):
            if getattr(self, key) not in known:
                raise UnusableInput(
                    f"{where}: {key} must be one of {', '.join(known)}, not {shown(getattr(self, key))}"
                )
        for key, low, high in (
            ("lanes", 1, 4096),
            ("tree_bits", 2, WIDEST),
            ("channels_per_pass", 1, 2**31 - 1),
            ("spill_bits", 2, WIDEST),
            ("spill_shift", 0, 62),
            ("bias_bits", 2, WIDEST),
        ):
            value = getattr(self, key)
            if value is not None and (type(value) is not int or not low <= value <= high):
                raise UnusableInput(f"{where}: {key} must be {low} to {high}, not {shown(value)}")
        if not isinstance(self.mac_order, list | tuple) or not _is_order(self.mac_order):
            raise UnusableInput(
                f"{where}: mac_order must be {', '.join(MAC_AXES)} in some order, not {shown(self.mac_order)}"
            )
        object.__setattr__(self, "mac_order", tuple(self.mac_order))  # TOML and JSON have lists
        if self.channels_per_pass is None and (self.spill_bits is not None or self.spill_shift):
            raise UnusableInput(f"{where}: spill_bits and spill_shift need channels_per_pass")
        if self.lanes == 1 and self.tree_bits is not None:
            raise UnusableInput(f"{where}: tree_bits needs lanes, 2 or more products that the tree adds")
        if self.rounding_constant == "inside" and (requantizer != "shift" or rounding not in CONSTANT_ROUNDINGS):
            raise UnusableInput(
                f"{where}: a rounding_constant inside the accumulator needs the requantizer shift and the "
                f"rounding {', '.join(CONSTANT_ROUNDINGS)}, not {requantizer} and {rounding}"
            )


def _is_order(axes: list[str] | tuple[str, ...]) -> bool:
    return len(axes) == len(MAC_AXES) and all(axis in axes for axis in MAC_AXES)
