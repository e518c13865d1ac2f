"""Loading an exported PyTorch program (.pt2) as data: no pickle in the file is run.

`torch.export.load` falls back to unpickling for some entries (example inputs, tensors saved with pickle, custom
objects), and a pickle is a program. So while it loads, every `torch.load` is held to weights_only=True and every other
unpickler refuses; a program that needs them is refused.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from intsim.errors import UnusableInput
from intsim.fakequant.twin import import_torch


def load_program(path: Path) -> Any:
    """The program in a .pt2 file, as a function of its inputs. Errors: UnusableInput, MissingDependency."""
    if not path.is_file():
        raise UnusableInput(f"{path}: no such file; write it with torch.export.save")
    torch = import_torch()
    try:
        with _no_pickles(torch), _quiet():
            program = torch.export.load(path).module()
    except Exception as error:
        raise UnusableInput(
            f"{path}: not an exported PyTorch program that can be read as data ({_line(error)})"
        ) from error
    return program


@contextmanager
def _no_pickles(torch: Any) -> Iterator[None]:
    """While it lasts, nothing that torch.export reads is unpickled."""
    from torch.export.pt2_archive import _package

    load = torch.load

    def weights_only(*args: Any, **kwargs: Any) -> Any:
        return load(*args, **{**kwargs, "weights_only": True})

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise ValueError("it holds a pickle, which is never loaded")

    with (
        mock.patch.object(torch, "load", weights_only),
        mock.patch.object(torch._C, "_pickle_load_obj", refuse),
        mock.patch.object(_package, "pickle", mock.Mock(loads=refuse, load=refuse)),
    ):
        yield


@contextmanager
def _quiet() -> Iterator[None]:
    """While it lasts, torch.export keeps its warnings and tracebacks to itself: the error says it in one line."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
