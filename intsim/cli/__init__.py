"""The command line: one command a file. `main` turns every outcome into an exit code.

Under --json an error is a JSON document on stdout too, beside its line on stderr.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from intsim.cli.options import JSON, print_json
from intsim.cli.terminal import compiling
from intsim.errors import IntsimError, near, printable, shortened

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

EXIT_CODES = """Exit codes: 0 equal, or done. 1 a mismatch. 2 unusable input or options, in one line.
3 an internal error. 130 interrupted (Ctrl-C). 141 the reader of a pipe left."""

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
        command.epilog = EXIT_CODES
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command of a line. Errors: UsageError names the nearest commands."""
        if args[0] not in COMMANDS and not args[0].startswith("-") and not ctx.resilient_parsing:
            raise click.UsageError(f"No such command {args[0]!r}; try {near(args[0], COMMANDS)}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The overview, from COMMANDS alone: `intsim --help` imports nothing else."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(
    cls=LazyGroup, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(package_name="intsim", prog_name="intsim")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Run a quantized neural network exactly as an integer accelerator would, and say where another differs."""
    ctx.with_resource(compiling())


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name that the terminal's encoding lacks is no error
    code = run_line(arguments)
    try:
        sys.stdout.flush()
    except OSError:
        _drop_output()
    sys.exit(code)


def run_line(arguments: list[str] | None = None) -> int:
    """The exit code of one command line; an error is one line on stderr, and under --json a document on stdout."""
    as_json = _asks_for_json(sys.argv[1:] if arguments is None else arguments)

    def fail(kind: str, message: str, code: int) -> int:
        return _fail(kind, message, code, as_json=as_json)

    try:
        result: Any = cli.main(arguments, prog_name="intsim", standalone_mode=False)
        sys.stdout.flush()
        return int(result or 0)
    except IntsimError as error:
        return fail(type(error).__name__, str(error), error.exit_code)
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return 0
    except click.MissingParameter as error:
        asked = "intsim" if error.ctx is None else error.ctx.command_path
        return fail("UsageError", f"{error.format_message().rstrip('.')}; see {asked} --help", 2)
    except click.ClickException as error:
        return fail("UsageError", error.format_message(), 2)
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except SystemExit as leaving:
        if leaving.code not in (None, 0, 1):
            raise
        if not leaving.code:  # completion has said what it had to say
            return 0
        _drop_output()  # click turns a BrokenPipeError into this
        return BROKEN_PIPE
    except BrokenPipeError:
        _drop_output()
        return BROKEN_PIPE
    except MemoryError:
        return fail("OutOfMemory", "out of memory; run fewer images at a time, or a smaller model", 2)
    except OSError as error:
        _drop_output()
        where = error.filename or "standard output"
        return _fail("OSError", f"{where}: {error.strerror or error}; free it or write elsewhere", 2)
    except Exception as error:
        if os.environ.get("INTSIM_DEBUG"):
            raise
        return fail(
            "InternalError",
            f"internal: {type(error).__name__}: {error} (set INTSIM_DEBUG=1 for the traceback, and please report it)",
            3,
        )


def _asks_for_json(arguments: Sequence[str]) -> bool:
    """Whether --json is among the options; a line that cannot be parsed is looked at as it stands."""
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return JSON in options


def _fail(kind: str, message: str, code: int, *, as_json: bool = False) -> int:
    line = shortened(printable(" ".join(message.split())))
    click.echo(f"intsim: error: {line}", err=True)
    if as_json:
        try:
            print_json({"error": {"kind": kind, "message": line, "exit_code": code}})
        except OSError:  # nobody reads it
            _drop_output()
    return code


def _drop_output() -> None:
    """Send what is left in stdout's buffer nowhere, so that the interpreter does not fail on it when it ends."""
    with contextlib.suppress(OSError, ValueError):  # where stdout is no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
