"""intsim demo: the shipped model in integers, compared with everything at hand, and one mistake planted and found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from intsim.cli.explain import show_explanation
from intsim.cli.options import json_option, print_json, threads_option
from intsim.cli.terminal import heading, note, progress, say, table
from intsim.demo.demonstration import Accuracy, Demonstration, Golden, Planted, Speed
from intsim.errors import IntsimError
from intsim.lowering.lowered import MAC_LAYERS

if TYPE_CHECKING:
    from intsim.comparison import Comparison, TensorDifference

ALL = 512
"""The images that the demo has."""

REPORT = "intsim-demo.html"
"""The report, in the current folder unless told otherwise."""

ENDS = (2, 3)
"""How many products of the planted mistake's sum are shown, from its begin and from its end."""

PEERS = {
    "torch": ("PyTorch fake-quant", "torch", None),
    "onnxruntime": ("ONNX Runtime", "onnxruntime", None),
    "target_onnxruntime": ("ONNX Runtime, with --target onnxruntime here", "onnxruntime", "onnxruntime"),
}
"""Peers that are compared where they are installed: name, what `compare` calls it, the target if it is another."""


COLUMNS = {"torch": "torch", "onnxruntime": "ort"}
"""The peers in the table, and how its columns call them."""


@click.command("demo")
@click.option("--images", type=click.IntRange(1), default=ALL, show_default=True, help="How many of its test images.")
@click.option("--spec-images", type=click.IntRange(1), help="How many of them the spec runs.  [default: all]")
@click.option("--report", default=REPORT, show_default=True, metavar="F.html", help="The report to write.")
@threads_option
@json_option
def command(images: int, spec_images: int | None, report: str, threads: int | None, as_json: bool) -> int:
    """Run the shipped model, compare every tensor, and catch a wrong rounding that is planted in one layer.

    Needs no network and no file; compares with PyTorch and ONNX Runtime where they are installed. Exits with 1 where
    engine, spec and golden vectors differ, or where the planted mistake is not found.
    """
    demo = Demonstration(images, threads)
    if not as_json:
        show_model(demo)
    with progress("running") as advance:
        result, speed = demo.run(advance)
    accuracy, golden = demo.accuracy(result), demo.golden(result)
    if not as_json:
        show_run(speed, accuracy)
    with progress("running the spec") as advance:
        spec = demo.compare("spec", advance, spec_images)
    if not as_json:
        show_exact(golden, spec)
    peers: dict[str, Comparison | str] = {}
    for key, (name, against, target) in PEERS.items():
        with progress(f"comparing with {name.partition(',')[0]}") as advance:
            peers[key] = demo.compare_if_installed(against, target, advance)
    planted = demo.plant()
    if not as_json:
        show_peers(peers, demo.model.target.rounding)
        show_planted(planted)
    made = {"spec": spec, **{key: c for key, c in peers.items() if not isinstance(c, str)}}
    facts = _facts(demo, speed, accuracy, golden, planted)
    refused = write_report(report, facts, {**made, "planted": planted.comparison})
    equal = golden.equal and spec.equal
    if as_json:
        print_json(
            {
                "model": demo.name,
                "target": demo.model.target.name,
                "images": images,
                "equal": equal,
                "speed": speed.to_dict(),
                "accuracy": accuracy.to_dict(),
                "golden": golden.to_dict(),
                "comparisons": {key: comparison.to_dict() for key, comparison in made.items()},
                "skipped": {key: c for key, c in peers.items() if isinstance(c, str)},
                "planted": planted.to_dict(),
                "report": None if refused else report,
            }
        )
        if refused:
            note(f"no report: {refused}")
    else:
        show_end(report, refused)
    return 0 if equal and planted.caught else 1


def show_model(demo: Demonstration) -> None:
    """What is run."""
    graph, target = demo.model.graph, demo.model.target
    macs = sum(layer.op in MAC_LAYERS for layer in demo.model.lowered.layers)
    heading("intsim demo: a small ResNet that classifies Fashion-MNIST, in 8-bit integers")
    say(
        f"{len(graph.nodes)} nodes, {macs} of them convolutions or fully connected; made by `intsim quantize`. "
        f"Target {target.name}: scales are powers of two, sums are shifted and rounded {target.rounding}."
    )


def show_run(speed: Speed, accuracy: Accuracy) -> None:
    """Speed and accuracy."""
    say()
    heading("1. Run in integers")
    threads = f"{speed.threads} thread{'' if speed.threads == 1 else 's'}"
    say(
        f"{speed.images:,} images at {speed.rate:,.0f} images/s on {threads}; the first after {speed.first:.1f} s "
        f"(kernels are compiled once, then cached)"
    )
    say(
        f"top-1 {accuracy.top1:.2%}, the float model {accuracy.float_top1:.2%}; "
        f"CD {accuracy.cd:.2%} (images whose class differs between the two)"
    )


def show_exact(golden: Golden, spec: Comparison) -> None:
    """Golden vectors and the spec, which must be equal."""
    say()
    heading("2. Golden vectors and the spec, bit for bit")
    recorded = f"{golden.whole.compared} tensors, {_images(golden.whole.images)} in full"
    recorded += f", {_images(golden.images)} by sha256 digest" if golden.images else ""
    codes = f"{spec.compared} tensors, {_images(spec.images)}, {spec.elements:,} codes"
    say(f"{_verdict(golden.equal)}  recorded golden vectors: {recorded}", _colour(golden.equal))
    say(f"{_verdict(spec.equal)}  the spec, on unbounded integers: {codes}", _colour(spec.equal))
    for tensor, image in golden.wrong[:3]:
        say(f"  {tensor}: not the recorded codes in the images from {image} on")
    if spec.first is not None:
        say(f"  against the spec the first difference is in {spec.first}")


def show_peers(peers: Mapping[str, Comparison | str], rounding: str) -> None:
    """The table of what differs by tensor, side by side for the float peers; rounding: our tie rule."""
    say()
    heading("3. What computes in float: PyTorch fake-quant, ONNX Runtime")
    shown = {COLUMNS[key]: c for key, c in peers.items() if key in COLUMNS and not isinstance(c, str)}
    if shown:
        first = next(iter(shown.values()))
        by_tensor = {key: {d.name: d for d in c.layers} for key, c in shown.items()}
        rows = [
            (d.name, *(cell for key in shown for cell in _shares(by_tensor[key].get(d.name)))) for d in first.layers
        ]
        headers = [text for key in shown for text in (key, "local", "LSB", "cause")]
        table(("tensor", *headers), rows, right=[h for h in headers if h != "cause"], fold=("tensor",))
        say("share of the codes that differ; local: on equal inputs; LSB: the largest difference")
        say()
    for key, comparison in peers.items():
        name = PEERS[key][0]
        if isinstance(comparison, str):
            say(f"{name}: skipped, {comparison}", "dim")
        else:
            say(f"{name}: {_sentence(comparison, rounding)}", "green" if comparison.equal else "")


def show_planted(planted: Planted) -> None:
    """The planted mistake, how it was found, and why the code is wrong."""
    say()
    heading("4. A mistake, planted and caught")
    say(f"planted: {planted.wrong} in the place of {planted.right} at node {planted.node}")
    difference = next((d for d in planted.comparison.layers if d.mismatches), None)
    if difference is None or difference.first is None:
        say("NOT caught: every golden vector is still equal", "bold red")
        return
    first = difference.first
    say(
        f"caught: the first tensor that differs from the golden vectors is {difference.name}, "
        f"{difference.mismatches:,} of {difference.elements:,} codes, by {difference.max_difference} at most",
        _colour(planted.caught),
    )
    say(f"first at {list(first.coordinate)}: golden {first.expected}, planted {first.actual}. How it comes about:")
    if planted.explanation is not None:
        say()
        show_explanation(planted.explanation, ENDS)
        say()
    fit = ", ".join(planted.rules) or "none"
    say(f"Of the nine rounding rules, {fit} alone gives every golden code of that tensor.", _colour(planted.caught))


def show_end(report: str, refused: str) -> None:
    """The report, and what to do next."""
    say()
    say(f"no report: {refused}" if refused else f"report: {report}")
    say("next: intsim quantize FLOAT.onnx --calibration X.npy --output Q.onnx, then intsim inspect Q.onnx")


def write_report(path: str, facts: list[tuple[str, str]], comparisons: Mapping[str, Comparison]) -> str:
    """Write the HTML report; why there is none, or "" where there is one."""
    from intsim.report import Page, write_page

    names = {"spec": "The spec", "planted": "A planted mistake, against the golden vectors"}
    headings = {names[k] if k in names else PEERS[k][0]: comparison for k, comparison in comparisons.items()}
    try:
        sections = [comparison.section(heading) for heading, comparison in headings.items()]
        write_page(path, Page("intsim: intsim demo", "intsim demo", sections, facts))
    except IntsimError as error:
        return str(error)
    return ""


def _facts(
    demo: Demonstration, speed: Speed, accuracy: Accuracy, golden: Golden, planted: Planted
) -> list[tuple[str, str]]:
    """What stands at the top of the report."""
    found = f"{planted.wrong} for {planted.right} at {planted.node}: {'caught' if planted.caught else 'NOT caught'}"
    return [
        ("model", f"{demo.name}, {len(demo.model.graph.nodes)} nodes, sha256 {demo.model.graph.digest}"),
        ("target", demo.model.target.name),
        ("run", f"{speed.images:,} images, {speed.rate:,.0f} images/s on {speed.threads} threads"),
        ("accuracy", f"top-1 {accuracy.top1:.2%}, float {accuracy.float_top1:.2%}, CD {accuracy.cd:.2%}"),
        ("golden vectors", f"{_verdict(golden.equal)}, {golden.whole.compared} tensors, {_images(golden.images)}"),
        ("planted mistake", found),
    ]


def _shares(difference: TensorDifference | None) -> tuple[str, str, str, str]:
    if difference is None:
        return ("", "", "", "")
    if not difference.mismatches:
        return ("0", "", "", "")
    share, local = (f"{n / difference.elements:.2%}" if n else "0" for n in (difference.mismatches, difference.local))
    return (share, local, str(difference.max_difference), ", ".join(difference.causes))


def _sentence(comparison: Comparison, rounding: str) -> str:
    """One comparison in words: the share that differs, and on equal inputs, the causes, what it does to classes."""
    if comparison.equal:
        return f"equal, {comparison.compared} tensors, {comparison.elements:,} codes"
    accuracy = comparison.accuracy
    local = sum(comparison.causes.values())
    ties = {"tie": f" ({rounding} here, half_even there)"}
    causes = ", ".join(f"{n / local:.1%} {cause}{ties.get(cause, '')}" for cause, n in comparison.causes.most_common())
    return (
        f"{comparison.mismatches / comparison.elements:.2%} of the codes differ, first in {comparison.first}; on equal "
        f"inputs {local / comparison.elements:.2%}, of these {causes}. Its top-1 {accuracy['peer_top1']:.2%}, "
        f"CD {accuracy['cd']:.2%}"
    )


def _images(count: int) -> str:
    return f"{count:,} image{'' if count == 1 else 's'}"


def _verdict(equal: bool) -> str:
    return "equal" if equal else "DIFFERENT"


def _colour(good: bool) -> str:
    return "green" if good else "bold red"
