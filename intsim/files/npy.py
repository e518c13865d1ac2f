"""The header of a .npy file, by a grammar of its own: no expression is evaluated, and anything else is one error.

magic \\x93NUMPY, version, length, then text: {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), } and spaces.
Source: NumPy's documentation, "A simple file format for NumPy arrays" (NEP 1), versions 1.0, 2.0 and 3.0.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

from intsim.errors import UnusableInput, shown

MAGIC = b"\x93NUMPY"

LENGTH_BYTES = {(1, 0): 2, (2, 0): 4, (3, 0): 4}
"""Version -> the bytes of the field that says how long the header is."""

LONGEST_HEADER = 10_000
"""Bytes; NumPy's limit."""

MOST_AXES = 64
"""The highest rank; NumPy's limit."""

LARGEST = 2**63 - 1
"""The largest length of an axis, and the most bytes of an array."""

KEYS = {"descr", "fortran_order", "shape"}

ENTRY = re.compile(
    r"""\s* (?P<quote>['"]) (?P<key>\w{1,40}) (?P=quote) \s* : \s*
    (?: (?P<mark>['"]) (?P<text>[^'"\\]{0,80}) (?P=mark) | (?P<flag>True|False) | \( (?P<lengths>[^()]*) \)
      | (?P<structure>[\[(].*) )
    \s* (?P<end>,|$)""",
    re.VERBOSE | re.ASCII | re.DOTALL,
)
NUMBER = re.compile(r"[<>=|]?([fiub])([0-9]{1,2})", re.ASCII)
NAMED = re.compile(r"[<>=|]?[fiubcSUV][0-9]{1,5}", re.ASCII)
"""Numbers, and what messages call by NumPy's name: complex numbers, text, plain bytes."""

LENGTHS = re.compile(r"\s*(?:\d{1,20}L?\s*,\s*)*(?:\d{1,20}L?\s*)?", re.ASCII)


@dataclass(frozen=True)
class Header:
    """What the file says of its array: shape, order of the axes in memory, dtype."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]

    @property
    def count(self) -> int:
        """Elements of the array."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """Bytes that the elements take."""
        return self.count * self.dtype.itemsize

    def check_size(self, stored: int, where: str) -> None:
        """Refuse data whose length is not what the header promises. Errors: UnusableInput."""
        if stored != self.bytes:
            what = "truncated" if stored < self.bytes else "longer than its header says"
            raise UnusableInput(
                f"{where}: {what}: {self.dtype} {list(self.shape)} needs {self.bytes} bytes, the file has {stored}; "
                f"write it again"
            )


def read_header(file: IO[bytes], where: str) -> Header:
    """The Header that starts here; the file is left where the data begins.

    Errors: UnusableInput for anything that does not follow the grammar, and for dtypes that are no numbers.
    """
    start = file.read(len(MAGIC) + 2)
    if len(start) < len(MAGIC) + 2 or not start.startswith(MAGIC):
        raise _foreign(where, f"it begins with {start[:8]!r}")
    version = (start[-2], start[-1])
    if version not in LENGTH_BYTES:
        raise _foreign(where, f"version {version[0]}.{version[1]} of the format does not exist, 1.0 to 3.0 do")
    field = file.read(LENGTH_BYTES[version])
    length = int.from_bytes(field, "little")
    if len(field) == LENGTH_BYTES[version] and length > LONGEST_HEADER:
        raise _foreign(where, f"its header of {length} bytes is longer than {LONGEST_HEADER}")
    text = file.read(length)
    if len(field) < LENGTH_BYTES[version] or len(text) < length:
        raise _foreign(where, "it ends within its header")
    # Only names of fields can hold other characters than ASCII, and arrays with fields are refused.
    entries = _entries(text.decode("latin-1"), where)
    dtype = _dtype(entries["descr"], where)
    flag = entries["fortran_order"]["flag"]
    if flag is None:
        raise _foreign(where, "fortran_order is neither True nor False")
    return Header(_shape(entries["shape"]["lengths"], dtype, where), flag == "True", dtype)


def _entries(text: str, where: str) -> dict[str, re.Match[str]]:
    """Key -> its match of ENTRY; all KEYS and no others, each once."""
    body = text.strip(" \n")
    if not (body.startswith("{") and body.endswith("}")):
        raise _foreign(where, "its header is no dict")
    body, at = body[1:-1].rstrip(), 0
    entries: dict[str, re.Match[str]] = {}
    while at < len(body):
        match = ENTRY.match(body, at)
        if match is None or match["key"] not in KEYS - set(entries):
            raise _foreign(
                where, f"its header has {shown(body[at : at + 60].strip())} where a key and its value belong"
            )
        if match["structure"] is not None and match["key"] == "descr":
            raise _no_number(where, f"of fields, {shown(match['structure'])},")
        entries[match["key"]] = match
        at = match.end()
    if len(entries) < len(KEYS):
        raise _foreign(where, f"its header has no {min(KEYS - set(entries))}")
    return entries


def _dtype(descr: re.Match[str], where: str) -> np.dtype[Any]:
    text = descr["text"]
    if text is None:
        raise _no_number(where, shown(descr[0].strip(" ,")))
    if text.lstrip("<>=|").startswith("O"):
        raise UnusableInput(
            f"{where}: holds Python objects (a pickle), which are never loaded; save an array of numbers"
        )
    if not NAMED.fullmatch(text):
        raise _no_number(where, shown(text))
    try:
        dtype = np.dtype(text)
    except (TypeError, ValueError):
        raise _no_number(where, text) from None
    if not NUMBER.fullmatch(text):
        raise _no_number(where, str(dtype))
    return dtype


def _shape(lengths: str | None, dtype: np.dtype[Any], where: str) -> tuple[int, ...]:
    if lengths is None or not LENGTHS.fullmatch(lengths) or (lengths.strip() and "," not in lengths):
        raise _foreign(where, f"its shape must be a tuple of whole numbers, not {shown(lengths or '')}")
    shape = tuple(int(length) for length in re.findall("[0-9]+", lengths))
    if len(shape) > MOST_AXES:
        raise _foreign(where, f"its shape has {len(shape)} axes, at most {MOST_AXES} are possible")
    # NumPy counts the bytes of an array's other axes also where one has the length 0.
    if math.prod(length for length in shape if length) * dtype.itemsize > LARGEST:
        raise UnusableInput(f"{where}: {dtype} {list(shape)} has more bytes than any machine; write it again")
    return shape


def _foreign(where: str, reason: str) -> UnusableInput:
    return UnusableInput(f"{where}: not a .npy file ({reason}); write it with numpy.save")


def _no_number(where: str, what: str) -> UnusableInput:
    return UnusableInput(f"{where}: dtype {what} is not a number type; save floats (reals) or integers (codes)")
