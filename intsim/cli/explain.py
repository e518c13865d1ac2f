"""intsim explain: every product, sum, bias and rounding step of one element of one tensor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from intsim.cli.arrays import read_inputs
from intsim.cli.complete import complete_tensor
from intsim.cli.options import (
    input_option,
    json_option,
    model_argument,
    preprocess_option,
    print_json,
    target_option,
    threads_option,
    title,
)
from intsim.cli.terminal import heading, say, table
from intsim.errors import UnusableInput

if TYPE_CHECKING:
    from intsim.comparison.explain import Explanation, Step

ENDS = (12, 4)
"""How many terms of a long sum are shown from its begin and from its end."""


@click.command("explain")
@model_argument
@input_option
@preprocess_option
@click.option(
    "--tensor",
    required=True,
    metavar="NAME",
    shell_complete=complete_tensor,
    help="A quantized tensor, the node that makes it, or <tensor>#accumulator.",
)
@click.option("--index", required=True, metavar="N,C,Y,X", help="Its element: one number an axis, the image first.")
@target_option
@click.option("--all", "show_all", is_flag=True, help="Show every term of long sums.")
@threads_option
@json_option
def command(
    model: str,
    inputs: tuple[str, ...],
    preprocess: str | None,
    tensor: str,
    index: str,
    target: str,
    show_all: bool,
    threads: int | None,
    as_json: bool,
) -> int:
    """How one element of MODEL comes about, from its node's inputs on: products, sums, bias, rounding, clip.

    Each step is computed in Python integers and compared with the engine; exits with 1 where they differ.
    """
    from intsim.comparison.explain import explain
    from intsim.model import load

    loaded = load(model, target)
    arrays, _ = read_inputs(inputs, loaded.graph, preprocess)
    explanation = explain(loaded, arrays, tensor, parse_index(index), threads)
    if as_json:
        print_json(explanation.to_dict())
    else:
        heading(title(model, loaded, target))
        say()
        show_explanation(explanation, None if show_all else ENDS)
    return 0 if explanation.equal else 1


def parse_index(text: str) -> tuple[int, ...]:
    """The coordinate that "N,C,Y,X" (also in brackets, as the tables print it) means. Errors: UnusableInput."""
    parts = text.strip().strip("[]()").replace(" ", "").rstrip(",").split(",")
    try:
        return tuple(int(part) for part in parts if part)
    except ValueError:
        raise UnusableInput(f"--index {text}: must be integers with commas between them, like 0,3,5,7") from None


def show_explanation(explanation: Explanation, ends: tuple[int, int] | None) -> None:
    """The explanation as tables on stdout; ends: how many terms of long sums from begin and end, None for all."""
    format = explanation.format
    real = ""
    if not format.per_channel:
        real = f" = {(explanation.value - format.zero_point[0]) * format.scale[0]:.7g}"
    by = f"node {explanation.node} ({explanation.op})" if explanation.node else "given as input"
    heading(f"{explanation.tensor} {list(explanation.at)} = {explanation.value}")
    say(f"{by}, target {explanation.target}, {format}{real}")
    for number, step in enumerate(explanation.steps, 1):
        say()
        say(f"{number}. {step.op}: {step.tensor} {list(step.at)}", "bold")
        _show_step(step, ends)
    say()
    if explanation.equal:
        say("The engine computed the same.", "bold green")
    for step in explanation.steps:
        if not step.equal:
            say(f"The engine computed {step.engine} for {step.tensor}, not {step.value}.", "bold red")


def _show_step(step: Step, ends: tuple[int, int] | None) -> None:
    for read in step.reads:
        say(f"   reads {read.tensor} {list(read.at)} = {_number(read.value)}")
    if step.terms:
        headers = list(step.terms[0])
        table(["", *headers], _terms(step.terms, ends), right=[h for h in headers if h not in ("input", "weight")])
    table(("", "", ""), [(f"   {line.name}", _number(line.value), line.how) for line in step.lines], fold=("",))
    if len(set(step.rules.values())) > 1:
        say(f"   other rules: {_rules(step)}")


def _terms(terms: Sequence[Mapping[str, Any]], ends: tuple[int, int] | None) -> list[tuple[Any, ...]]:
    """The rows of a sum's table; the middle of a long one is left out."""
    rows = [("  ", *(_number(value) for value in term.values())) for term in terms]
    if ends is None or len(rows) <= sum(ends) + 1:
        return rows
    gap = ("  ", f"… {len(rows) - sum(ends):,} more", *[""] * (len(rows[0]) - 2))
    return [*rows[: ends[0]], gap, *rows[-ends[1] :]]


def _rules(step: Step) -> str:
    """What the rules that disagree would give, e.g. "13 by half_down floor"."""
    others = sorted(set(step.rules.values()) - {step.value}, reverse=True)
    by = {code: " ".join(rule for rule, value in step.rules.items() if value == code) for code in others}
    return "; ".join(f"{code} by {rules}" for code, rules in by.items())


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else (repr(value) if isinstance(value, float) else str(value))
