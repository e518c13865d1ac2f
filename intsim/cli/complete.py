"""Completion: what may stand next on a command line; see docs/completion.md. Each press of Tab is a process."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from intsim.errors import IntsimError

LARGEST_MODEL = 1 << 24
"""Bytes of a model file that is read for the names of its tensors."""


def complete_target(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The named targets, then .toml files and folders."""
    from intsim.target import TARGETS

    return [*_starting(["auto", *TARGETS], incomplete), *_files(incomplete, ".toml")]


def complete_peer(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The peers; after `target:` the targets, after `golden:`, `dump:` and `torch:` paths."""
    kind, colon, rest = incomplete.partition(":")
    if kind == "target" and colon:
        return [CompletionItem(f"target:{item.value}") for item in complete_target(ctx, param, rest)]
    if colon:
        return [CompletionItem(f"{kind}:{item.value}") for item in _files(rest, ".pt2" if kind != "golden" else "")]
    return _starting(PEERS, incomplete)


PEERS = ("spec", "target:", "onnxruntime", "torch", "torch:", "golden:", "dump:")
"""How a peer is begun; the comparison that knows them takes too long to import for a press of Tab."""


def complete_tap(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The kinds of taps; after `KIND@` the tensors of the model on the line, where it is small."""
    from intsim.taps.tap import TAPS

    kind, at, pattern = incomplete.partition("@")
    if not at:
        return _starting(TAPS, incomplete)
    return [CompletionItem(f"{kind}@{name}") for name in _tensors(ctx) if name.startswith(pattern)]


def complete_tensor(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The tensors of the model on the line, where it is small."""
    return _starting(_tensors(ctx), incomplete)


def _starting(words: Iterable[str], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(word) for word in words if word.startswith(incomplete)]


def _files(incomplete: str, suffix: str) -> list[CompletionItem]:
    """The files of that suffix and the folders that begin so; a shell gets them as plain words."""
    folder, _, begin = incomplete.rpartition("/")
    place = Path(f"{folder}/" if "/" in incomplete else ".")
    before = f"{folder}/" if "/" in incomplete else ""
    try:
        found = sorted(p for p in place.iterdir() if p.name.startswith(begin) and (begin or p.name[0] != "."))
    except OSError:
        return []
    folders = [CompletionItem(f"{before}{p.name}/") for p in found if p.is_dir()]
    return [CompletionItem(f"{before}{p.name}") for p in found if suffix and p.suffix == suffix] + folders


def _tensors(ctx: click.Context) -> list[str]:
    """The tensors that a tap can name, none where the model cannot be read: Tab must never print an error."""
    # An option that still lacks its value keeps click from sorting the words: the model is one of those left over.
    words = [ctx.params.get("model"), *ctx.args]
    with suppress(IntsimError, OSError):
        path = next((Path(word) for word in words if word is not None and Path(word).is_file()), None)
        if path is not None and path.stat().st_size <= LARGEST_MODEL:
            from intsim.model import load
            from intsim.taps.selection import tappable

            return [name for name in tappable(load(path).lowered) if "#" not in name]
    return []
