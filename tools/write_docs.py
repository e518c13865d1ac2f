"""Writes docs/targets.md from the code: what each named target computes.

    python tools/write_docs.py [--check]

Formulas and sources are those of the docstrings and tables beside the code that computes them. With --check nothing is
written, and the exit code is 1 where the file is not what would be written.
"""

from __future__ import annotations

import inspect
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, fields
from itertools import zip_longest
from pathlib import Path
from typing import Any

import click

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from intsim import spec
from intsim.accumulator import Accumulator
from intsim.lowering import activation, elementwise, mac, pooling, requantizers, tables
from intsim.lowering.families import FAMILIES
from intsim.lowering.lower import IN_INTEGERS
from intsim.target import REQUANTIZERS, TARGET_SOURCES, TARGETS, Target

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "docs/targets.md"
LABEL, WIDTH = 22, 118
NAMES = {"Requantize": "change of format"}
ACTS = {"after": "the output codes", "before": "the accumulator"}

HEAD = """# Targets

What each named target computes, formula by formula, and the public source that it follows. `--target NAME` chooses
one; a TOML file changes any field of one (`base = "NAME"`). This page is written by `python tools/write_docs.py`:
change the code, not this page.

| word | what it means |
|---|---|
| `acc` | the sum of products, in the accumulator |
| `x`, `w`, `y`, `a`, `b` | input, weight, output, two operands; `x_scale`, `x_zero`: theirs; `scale`: the output's |
| `e_x` | the exponent of x, where its scale is a power of two |
| `clip` | to the least and the greatest code of the output |
| `half_up` | to the nearest integer, a tie to the greater one |
| `half_even` | to the nearest integer, a tie to the even one |
| `half_away` | to the nearest integer, a tie away from 0 |
| `round` | by the target's tie rule |
| frexp | a number as fraction and exponent of 2, the fraction at least 1/2 and below 1 |
| project's choice | no public source says it; `intsim inspect` names the layers |

On every target, what comes after the last quantized tensor (the float tail) runs in float32, and Relu and Clip that
keep the format clamp codes.
"""

TAIL = """## Requantizers that no named target has

For a TOML file: `base = "tflite"` and `requantizer = "NAME"`.
"""


def page() -> str:
    """The text of docs/targets.md."""
    used = {t.requantizer for t in TARGETS.values()} | {t.fully_connected for t in TARGETS.values()}
    parts = [HEAD, _overview()]
    parts += [
        f"## {name}\n\n{textwrap.fill(TARGET_SOURCES[name], WIDTH)}\n\n{_block(_rows(target))}"
        for name, target in TARGETS.items()
    ]
    parts.append(TAIL)
    for name in REQUANTIZERS:
        if name not in used:
            rows = [*_requantizer(name, "", "requantizer"), ("multiplier and shift", requantizers.DERIVATIONS[name])]
            parts.append(f"### {name}\n\n{_block(rows)}")
    return "\n".join(parts)


def function_of(requantizer: str) -> str:
    """The name in intsim.spec of a requantizer."""
    name = f"requantize_{requantizer.removesuffix('_single') if requantizer == 'tosa_single' else requantizer}"
    return "requantize" if requantizer == "shift" else name


def _overview() -> str:
    lines = ["| target | requantizer | tie rule | accumulator, bits | overflow | family |", "|---|---|---|---|---|---|"]
    for name, t in TARGETS.items():
        dense = f", {t.fully_connected}" if t.fully_connected else ""
        bits = "" if t.wide_accumulator_bits is None else f", {t.wide_accumulator_bits}"
        row = (
            f"[{name}](#{name})",
            f"{t.requantizer}{dense}",
            t.rounding,
            f"{t.accumulator_bits or f'N_x + N_w + {t.headroom}'}{bits}",
            t.overflow,
            FAMILIES[t.requantizer],
        )
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines) + "\n"


def _rows(target: Target) -> Iterator[tuple[str, str]]:
    name, family = target.requantizer, FAMILIES[target.requantizer]
    yield from _requantizer(name, target.rounding, "requantizer")
    yield "multiplier and shift", requantizers.DERIVATIONS[name]
    if target.fully_connected:
        yield from _requantizer(target.fully_connected, target.rounding, "fully connected")
        yield "multiplier and shift", requantizers.DERIVATIONS[target.fully_connected]
    if name in requantizers.WIDE and target.wide_accumulator_bits:
        yield from _requantizer(
            requantizers.WIDE[name].removeprefix("requantize_"), target.rounding, "sums over 32 bits"
        )
    yield "tie rule", _ties(target)
    yield "accumulator", _accumulator(target)
    yield "bias", _bias(target)
    yield from _ops(target)
    yield "reals that enter", summary(spec.quantize_float32 if family == "onnxruntime" else spec.quantize)
    yield "in float", _floats(target)
    limits = [
        text for text, yes in (("signed codes", target.signed_only), ("no zero points", not target.zero_points)) if yes
    ]
    if target.shifts_only:
        limits.append("every scale a power of two")
    if limits:
        yield "limits", f"{', '.join(limits)}."


def _ops(target: Target) -> Iterator[tuple[str, str]]:
    """What is no MAC layer: each op as the target's family computes it, functions of several ops once."""
    family, integers = FAMILIES[target.requantizer], IN_INTEGERS.get(target.requantizer)
    whole = pooling.EMIT.get(family) or pooling.EMIT_MEAN[family]
    functions = {
        "Add": elementwise.SUMS[family],
        "Sub": elementwise.SUMS[family],
        "Mul": elementwise.PRODUCTS[family],
        "GlobalAveragePool": whole,
        "ReduceMean": whole,
        "AveragePool": pooling.POOLS.get(family, whole),
        "LeakyRelu": _table(family, activation.LEAKY_RELU),
        "Requantize": _table(family, activation.REQUANTIZE),
    }
    rows: dict[Callable[..., Any] | None, list[str]] = {}
    for op, function in functions.items():
        rows.setdefault(function if integers is None or op in integers else None, []).append(op)
    for made, ops in rows.items():
        yield ", ".join(NAMES.get(op, op) for op in ops), "a float island." if made is None else prose(made)
    notes = []
    if family == "quotient":
        notes.append("project's choice: the target's public sources define none of these.")
    elif target.requantizer != "shift" and tables.exact_table in rows:
        notes.append("project's choice: the tables of exact results.")
    if family in pooling.POOLS:
        notes.append(pooling.POOLS_ELSE)
    if not target.float_islands:
        notes.append(f"LeakyRelu and PRelu act on {ACTS[target.activation]} of a MAC layer before them.")
    if notes:
        yield "  of these", " ".join(notes)
    if family == "shift":
        yield "  here", f"alignment = {target.alignment}, mean = {target.mean}."


def _requantizer(name: str, rounding: str, label: str) -> Iterator[tuple[str, str]]:
    """The formula, its parts and its source."""
    function = getattr(spec, function_of(name))
    formula, parts, source = sections(function)
    if name == "shift":
        formula = formula.replace("round(", f"{rounding}(")
    yield label, f"{name}: {formula}"
    yield "  parts", parts
    yield "  source", source


def sections(function: Callable[..., Any]) -> tuple[str, str, str]:
    """Formula, parts and source of a requantizer, from its docstring."""
    text = inspect.getdoc(function) or ""
    first, _, rest = text.partition("\n")
    body, _, source = " ".join(rest.split()).partition("Source: ")
    for sentence in ("Returns i64 of acc's shape.", "Returns i64.", "Raises OutOfDomain."):
        body = body.replace(sentence, "")
    return first.removeprefix("Output codes: "), " ".join(body.split()), source


def summary(function: Callable[..., Any]) -> str:
    """The first line of a docstring, without what it is called."""
    return (inspect.getdoc(function) or "").partition("\n")[0].partition(": ")[2]


def prose(function: Callable[..., Any]) -> str:
    """What a docstring says of the arithmetic, in one line: without errors and sources; of a table its formula."""
    text = inspect.getdoc(function) or ""
    if text.startswith("The table"):
        text = text.partition("\n\n")[2]
    text = " ".join(text.split())
    for end in (" Errors: ", " Source: ", " Arguments: "):
        text = text.partition(end)[0]
    return text


def _table(family: str, own: Mapping[str, Callable[..., Any]]) -> Callable[..., Any]:
    return own.get(family) or (tables.float32_table if family == "onnxruntime" else tables.exact_table)


def _ties(target: Target) -> str:
    table = f"; in tables of exact results {target.table_rounding}" if target.table_rounding else ""
    fixed = "" if target.requantizer in ("shift", "pulp") else " Formulas that name a tie rule have that one."
    return f"{target.rounding}, also of reals that enter{table}.{fixed}"


def _accumulator(target: Target) -> str:
    bits = target.accumulator_bits or f"N_x + N_w + {target.headroom} (at most 64)"
    wide = (
        ""
        if target.wide_accumulator_bits is None
        else f", {target.wide_accumulator_bits} where an operand has more than 8"
    )
    clamp = f", after every {target.saturate_after}" if target.overflow == "saturate" else ""
    others = [
        f"{f.name} = {', '.join(value) if isinstance(value, tuple) else value}"
        for f in fields(Accumulator)
        if f.default is not MISSING and (value := getattr(target, f.name)) != f.default
    ]
    return f"{'; '.join([f'{bits} bits{wide}', f'overflow: {target.overflow}{clamp}', *others])}."


def _bias(target: Target) -> str:
    key = "float32" if target.requantizer == "float32" else "shifts" if target.shifts_only else "codes"
    added = mac.BIAS_ADDED.get(target.requantizer, f"it is added {target.bias_added}")
    return f"{mac.BIAS_RULES[key]} In the accumulator {added}."


def _floats(target: Target) -> str:
    parts = [
        requantizers.FLOATS[n] for n in (target.requantizer, target.fully_connected or "") if n in requantizers.FLOATS
    ]
    own = f"{'; '.join(parts)}." if parts else "no arithmetic of its own."
    if not target.float_islands:
        return f"{own} A chain that is not quantized is refused."
    kept = ", ".join(sorted(IN_INTEGERS[target.requantizer]))
    islands = f"Float islands (dequantize, the op in float32, quantize): all ops but {kept}"
    return f"{own} {islands}; of these, patterns without an integer kernel too: `intsim inspect` says which and why."


def _block(rows: Iterable[tuple[str, str]]) -> str:
    """Labels and texts in two columns, each wrapped."""
    lines = ["```"]
    for label, text in rows:
        left, right = (
            textwrap.wrap(part, width, break_on_hyphens=False)
            for part, width in ((label, LABEL - 2), (text, WIDTH - LABEL))
        )
        lines += [f"{a:{LABEL}}{b}".rstrip() for a, b in zip_longest(left, right, fillvalue="")]
    return "\n".join([*lines, "```", ""])


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 where the file is another one.")
def command(check: bool) -> None:
    """Write docs/targets.md from the code."""
    text = page()
    if check and text != FILE.read_text(encoding="utf-8"):
        raise SystemExit(f"{FILE.relative_to(ROOT)} is stale: run python tools/write_docs.py")
    if not check:
        FILE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    command()
