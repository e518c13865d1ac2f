"""The command line: one command a file. `main` turns every outcome into an exit code.

0: all equal or done. 1: a mismatch. 2: unusable input, one line says what, where, what to do. 3: an internal error.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

import click

from intsim.errors import IntsimError

COMMANDS = {
    "demo": "Run, compare and explain the shipped model.",
    "inspect": "Every layer: op, formats, shift or multiplier, accumulator bits, kernel.",
    "run": "Run a model; write its outputs and the tapped tensors as integer codes.",
    "compare": "Compare a model, layer by layer, with the spec, ONNX Runtime, PyTorch or recorded codes.",
    "histogram": "Exact integer histograms of every layer.",
    "ranges": "Accumulator bits of every layer: declared, worst case, proved, observed.",
    "quantize": "Quantize a float ONNX model to power-of-two exponents.",
}
"""Command -> its line in the overview. The function `command` of intsim.cli.<name> is loaded when it is called."""


class LazyGroup(click.Group):
    """A group that imports a command's module only when that command runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of COMMANDS."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, None where there is none."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"intsim.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The overview, from COMMANDS alone: `intsim --help` imports nothing else."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="intsim", prog_name="intsim")
def cli() -> None:
    """Run a quantized neural network exactly as an integer accelerator would, and say where another differs."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """The exit code of one command line; errors are printed on stderr in one line."""
    try:
        result: Any = cli.main(arguments, prog_name="intsim", standalone_mode=False)
        return int(result or 0)
    except IntsimError as error:
        click.echo(f"intsim: error: {' '.join(str(error).split())}", err=True)
        return error.exit_code
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except click.ClickException as error:
        click.echo(f"intsim: error: {error.format_message()}", err=True)
        return 2
    except (KeyboardInterrupt, click.Abort):
        click.echo("intsim: interrupted", err=True)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except MemoryError:
        click.echo("intsim: error: out of memory; run fewer images at a time or a smaller model", err=True)
        return 2
    except Exception as error:
        if os.environ.get("INTSIM_DEBUG"):
            raise
        click.echo(
            f"intsim: internal error: {type(error).__name__}: {' '.join(str(error).split())} "
            f"(set INTSIM_DEBUG=1 for the traceback, and please report it)",
            err=True,
        )
        return 3
