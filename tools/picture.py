"""Draws what a command prints on a terminal as an SVG, for README: picture.py OUT.svg COMMAND [ARG ...]."""

from __future__ import annotations

import io
import os
import pty
import re
import shlex
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

COLUMNS = 124


def terminal_output(command: list[str]) -> str:
    """What the command writes to a terminal of COLUMNS columns, colours included."""
    controller, terminal = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(COLUMNS), "TERM": "xterm-256color", "FORCE_COLOR": "1"}
    with subprocess.Popen(command, stdout=terminal, stderr=subprocess.DEVNULL, env=environment) as process:
        os.close(terminal)
        chunks = []
        while True:
            try:
                chunk = os.read(controller, 65536)
            except OSError:  # the other end is closed
                break
            if not chunk:
                break
            chunks.append(chunk)
        process.wait()
    os.close(controller)
    return b"".join(chunks).decode().replace("\r\n", "\n")


def main() -> None:
    """Run the command and write the picture."""
    path, command = Path(sys.argv[1]), sys.argv[2:]
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(f"$ {shlex.join([Path(command[0]).name, *command[1:]])}\n{terminal_output(command)}"))
    path.write_text(without_fonts(console.export_svg(title="intsim")), encoding="utf-8")


def without_fonts(svg: str) -> str:
    """The picture without the web fonts that it would load: any monospace font does."""
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)


if __name__ == "__main__":
    main()
