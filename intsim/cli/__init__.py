"""The command line: one command a file. `main` turns every outcome into an exit code.

0: all equal or done. 1: a mismatch. 2: unusable input, one line says what, where, what to do. 3: an internal error.
As everywhere, 130 and 141 say that the user or the reader of a pipe ended it.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import sys
from typing import Any

import click

from intsim.errors import IntsimError, printable, shortened

COMMANDS = {
    "demo": "Run, compare and explain the shipped model.",
    "inspect": "Every layer: op, formats, shift or multiplier, accumulator bits, kernel.",
    "run": "Run a model; write its outputs and the tapped tensors as integer codes.",
    "compare": "Compare a model, layer by layer, with the spec, ONNX Runtime, PyTorch or recorded codes.",
    "explain": "Every product, sum, bias and rounding step of one element of one tensor.",
    "histogram": "Exact integer histograms of every layer.",
    "ranges": "Accumulator bits of every layer: declared, worst case, proved, observed.",
    "quantize": "Quantize a float ONNX model to power-of-two exponents.",
    "bench": "Time a model, beside ONNX Runtime on the same file.",
}
"""Command -> its line in the overview. The function `command` of intsim.cli.<name> is loaded when it is called."""


INTERRUPTED = 130
BROKEN_PIPE = 141


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
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name that the terminal's encoding lacks is no error
    code = run(arguments)
    try:
        sys.stdout.flush()
    except OSError:
        _drop_output()
    sys.exit(code)


def run(arguments: list[str] | None = None) -> int:
    """The exit code of one command line; errors are printed on stderr in one line."""
    try:
        result: Any = cli.main(arguments, prog_name="intsim", standalone_mode=False)
        sys.stdout.flush()
        return int(result or 0)
    except IntsimError as error:
        return _fail(str(error), error.exit_code)
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return 0
    except click.ClickException as error:
        return _fail(error.format_message(), 2)
    except (KeyboardInterrupt, click.Abort):
        click.echo("intsim: interrupted", err=True)
        return INTERRUPTED
    except (BrokenPipeError, SystemExit):  # click turns the first into the second
        _drop_output()
        return BROKEN_PIPE
    except MemoryError:
        return _fail("out of memory; run fewer images at a time, or a smaller model", 2)
    except OSError as error:
        _drop_output()
        return _fail(f"{error.filename or 'standard output'}: {error.strerror or error}; free it or write elsewhere", 2)
    except Exception as error:
        if os.environ.get("INTSIM_DEBUG"):
            raise
        return _fail(
            f"internal: {type(error).__name__}: {error} (set INTSIM_DEBUG=1 for the traceback, and please report it)", 3
        )


def _fail(message: str, code: int) -> int:
    click.echo(f"intsim: error: {shortened(printable(' '.join(message.split())))}", err=True)
    return code


def _drop_output() -> None:
    """Send what is left in stdout's buffer nowhere, so that the interpreter does not fail on it when it ends."""
    with contextlib.suppress(OSError, ValueError):  # where stdout is no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
