"""Means and maxima: every element of the window, the quotient, the rounding."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from intsim.comparison.explain.elements import Elements
from intsim.comparison.explain.explanation import Coordinate, Line, Step
from intsim.comparison.explain.float32 import clamp_round, round_saturate
from intsim.comparison.explain.quotient import requantized
from intsim.lowering.lowered import Layer

INT32 = 32


def explain_max_pool(elements: Elements, layer: Layer, at: Coordinate) -> Step:
    """y = the largest code of the window; padding never wins."""
    return _largest(elements, layer, at, _window(elements, layer, at))


def explain_reduce_max(elements: Elements, layer: Layer, at: Coordinate) -> Step:
    """y = the largest code over the axes."""
    return _largest(elements, layer, at, _reduced(elements, layer, at))


def _largest(elements: Elements, layer: Layer, at: Coordinate, places: Iterator[Coordinate]) -> Step:
    name = layer.inputs[0]
    largest: int | None = None
    terms: list[dict[str, Any]] = []
    for place in places:
        code = elements.code(name, place)
        largest = code if largest is None else max(code, largest)
        terms.append({"input": list(elements.place(name, place)), "x": code, "largest": largest})
    assert largest is not None, "there is an element at each place of the output"
    line = Line("code", largest, f"the largest of {len(terms)} codes")
    return _step(elements, layer, at, terms, [line], {})


def explain_average_pool(elements: Elements, layer: Layer, at: Coordinate) -> Step:
    """y = clip(round(sum over the window of (x - x_zero) / (count * 2**shift)) + zero_point)."""
    terms = _summed(elements, layer, list(_window(elements, layer, at)))
    count = _padded_count(elements, layer, at) if layer.parameters["count_include_pad"] else len(terms)
    return _mean(elements, layer, at, terms, count)


def explain_reduce_mean(elements: Elements, layer: Layer, at: Coordinate) -> Step:
    """y = clip(round(sum over the axes of (x - x_zero) / (n * 2**shift)) + zero_point)."""
    terms = _summed(elements, layer, list(_reduced(elements, layer, at)))
    return _mean(elements, layer, at, terms, len(terms))


def explain_average_pool_float32(elements: Elements, layer: Layer, at: Coordinate) -> Step:
    """y = clip(half_even(mean / scale + zero_point)), mean = float32 sum of x_scale * (x - x_zero), over count."""
    p, name = layer.parameters, layer.inputs[0]
    x_scale, scale = np.float32(p["x_scale"]), np.float32(p["scale"])
    total, terms = np.float32(0), []
    for place in _window(elements, layer, at):
        real = x_scale * np.float32(elements.code(name, place) - int(p["x_zero"]))
        total = total + real
        source = list(elements.place(name, place))
        terms.append({"input": source, "x": elements.code(name, place), "real": float(real), "sum": float(total)})
    count = math.prod(p["kernel"]) if p["count_include_pad"] else len(terms)
    mean = total / np.float32(count)
    moved = mean / scale + np.float32(p["zero_point"])
    lines, rules = round_saturate(moved, layer)
    before = [
        Line("sum", float(total), "in float32, row by row"),
        Line("mean", float(mean), f"over {count}, rounded to float32"),
        Line("in output codes", float(moved), f"/ {float(scale)!r} + {int(p['zero_point'])}, each rounded to float32"),
    ]
    return _step(elements, layer, at, terms, [*before, *lines], rules)


def explain_reduce_mean_float32(elements: Elements, layer: Layer, at: Coordinate) -> Step:
    """y = half_even(clamp(float32(sum) * m)) + zero_point, m = x_scale / (scale * float32(n))."""
    p = layer.parameters
    terms = _summed(elements, layer, list(_reduced(elements, layer, at)))
    exact, half = int(terms[-1]["sum"]), 1 << (INT32 - 1)
    total = (exact + half) % (1 << INT32) - half
    m = np.float32(p["x_scale"]) / (np.float32(p["scale"]) * np.float32(len(terms)))
    scaled = np.float32(total) * m
    lines, rules = clamp_round(scaled, int(p["zero_point"]), layer)
    before = [
        Line("sum", total, "in int32" if total == exact else f"{exact} wrapped to int32"),
        Line("m", float(m), f"x_scale / (scale * {len(terms)}), float32"),
        Line("product", float(scaled), "float32(sum) * m, rounded to float32"),
    ]
    return _step(elements, layer, at, terms, [*before, *lines], rules)


def explain_average_pool_quotient(elements: Elements, layer: Layer, at: Coordinate) -> Step:
    """y = clip(round(sum over the window of (x - x_zero) * factor / (count * divisor)) + zero_point)."""
    p = layer.parameters
    terms = _summed(elements, layer, list(_window(elements, layer, at)))
    count = _padded_count(elements, layer, at) if p["count_include_pad"] else len(terms)
    n, d = int(terms[-1]["sum"]) * int(p["factor"]), count * int(p["divisor"])
    rounded, rules = requantized(n, d, p["rounding"], int(p["zero_point"]), layer)
    before = [Line("count", count), Line("product", n, f"the sum times {int(p['factor'])}")]
    return _step(elements, layer, at, terms, [*before, *rounded], rules)


def explain_reduce_sum(elements: Elements, layer: Layer, at: Coordinate) -> Step:
    """y = sum over the axes of (x - x_zero)."""
    terms = _summed(elements, layer, list(_reduced(elements, layer, at)))
    return _step(elements, layer, at, terms, [Line("sum", terms[-1]["sum"], f"of {len(terms)} codes")], {})


def explain_reduce_mean_xnnpack(elements: Elements, layer: Layer, at: Coordinate) -> Step:
    """y = clip(half_even(float32(sum of x) * multiplier + addend))."""
    p, name = layer.parameters, layer.inputs[0]
    places = list(_reduced(elements, layer, at))
    total, terms = 0, []
    for place in places:
        total += elements.code(name, place)
        terms.append({"input": list(elements.place(name, place)), "x": elements.code(name, place), "sum": total})
    m = np.float32(p["multiplier"])
    addend = np.float32(p["zero_point"]) - np.float32(len(places) * int(p["x_zero"])) * m
    product = np.float32(total) * m
    moved = product + addend
    lines, rules = round_saturate(moved, layer)
    before = [
        Line("sum", total, "of the raw codes"),
        Line("product", float(product), f"float32(sum) * {float(m)!r}, rounded to float32"),
        Line("with addend", float(moved), f"+ {float(addend)!r}, rounded to float32"),
    ]
    return _step(elements, layer, at, terms, [*before, *lines], rules)


def _summed(elements: Elements, layer: Layer, places: list[Coordinate]) -> list[dict[str, Any]]:
    name, zero = layer.inputs[0], int(layer.parameters["x_zero"])
    total, terms = 0, []
    for place in places:
        code = elements.code(name, place)
        total += code - zero
        terms.append({"input": list(elements.place(name, place)), "x": code, "x - zero": code - zero, "sum": total})
    return terms


def _mean(elements: Elements, layer: Layer, at: Coordinate, terms: list[dict[str, Any]], count: int) -> Step:
    p = layer.parameters
    total, shift = int(terms[-1]["sum"]), int(p["shift"])
    n, d = total << max(-shift, 0), count << max(shift, 0)
    rounded, rules = requantized(n, d, p["rounding"], int(p["zero_point"]), layer)
    before = [
        Line("sum", total, f"{len(terms)} codes minus the zero point {int(p['x_zero'])}"),
        Line("count", count, "elements that the mean is over"),
        Line("shift", shift, f"the sum over {count} * 2**{shift}, one exact quotient"),
    ]
    return _step(elements, layer, at, terms, [*before, *rounded], rules)


def _window(elements: Elements, layer: Layer, at: Coordinate) -> Iterator[Coordinate]:
    """The elements of a window that lie in the image, row by row."""
    lengths = elements.shape(layer.inputs[0])[2:]
    for place in _positions(layer, at):
        if all(0 <= i < length for i, length in zip(place, lengths, strict=True)):
            yield (*at[:2], *place)


def _padded_count(elements: Elements, layer: Layer, at: Coordinate) -> int:
    """How many elements of a window lie in the image or its padding; what ceil_mode adds at the end does not count."""
    lengths, pads = elements.shape(layer.inputs[0])[2:], layer.parameters["pads"]
    ends = [length + pads[len(lengths) + axis] for axis, length in enumerate(lengths)]
    return sum(all(i < end for i, end in zip(place, ends, strict=True)) for place in _positions(layer, at))


def _positions(layer: Layer, at: Coordinate) -> Iterator[Coordinate]:
    """The places that a window reaches, in the image's coordinates, row by row."""
    p = layer.parameters
    starts = [i * s - pad for i, s, pad in zip(at[2:], p["strides"], p["pads"], strict=False)]
    for k in itertools.product(*(range(length) for length in p["kernel"])):
        yield tuple(start + tap * d for start, tap, d in zip(starts, k, p["dilations"], strict=True))


def _reduced(elements: Elements, layer: Layer, at: Coordinate) -> Iterator[Coordinate]:
    """The elements that a reduction over axes takes together, in ascending order."""
    shape = elements.shape(layer.inputs[0])
    axes = {axis % len(shape) for axis in layer.parameters["axes"]}
    kept = iter(at)
    ranges: list[range] = []
    for axis, length in enumerate(shape):
        if axis in axes:
            ranges.append(range(length))
            if layer.parameters["keepdims"]:
                next(kept)
        else:
            index = next(kept)
            ranges.append(range(index, index + 1))
    return iter(itertools.product(*ranges))


def _step(
    elements: Elements,
    layer: Layer,
    at: Coordinate,
    terms: list[dict[str, Any]],
    lines: list[Line],
    rules: dict[str, int],
) -> Step:
    name = layer.outputs[0]
    return Step(name, layer.op, elements.place(name, at), lines[-1].value, (), tuple(terms), tuple(lines), rules)
