"""Axes as ONNX gives them, negative ones counted from the end."""

from __future__ import annotations

from collections.abc import Sequence

from intsim.importers.onnx.onnx_node import OnnxNode


def normal_axis(node: OnnxNode, axis: int, rank: int) -> int:
    """The axis as a number from 0. Errors: MalformedGraph when a tensor of that rank does not have it."""
    if not -rank <= axis < rank:
        raise node.malformed(f"axis {axis} is outside a tensor of rank {rank}")
    return axis % rank


def normal_axes(node: OnnxNode, axes: Sequence[int], rank: int) -> tuple[int, ...]:
    """Several axes as numbers from 0. Errors: MalformedGraph when one is outside, or named twice."""
    normal = tuple(normal_axis(node, a, rank) for a in axes)
    if len(set(normal)) != len(normal):
        raise node.malformed(f"axes {tuple(axes)} name one twice")
    return normal
