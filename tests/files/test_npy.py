from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intsim.errors import UnusableInput
from intsim.files import array_bytes
from intsim.files.npy import LENGTH_BYTES, LONGEST_HEADER, MAGIC, read_header


def file(text: str | bytes, version: tuple[int, int] = (1, 0), length: int | None = None) -> io.BytesIO:
    content = text.encode() if isinstance(text, str) else text
    field = (len(content) if length is None else length).to_bytes(LENGTH_BYTES.get(version, 2), "little")
    return io.BytesIO(MAGIC + bytes(version) + field + content)


def header(descr: str = "'<f4'", order: str = "False", shape: str = "(2, 3)") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}"


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
@pytest.mark.parametrize(
    "text",
    [
        header(),
        header() + " " * 50 + "\n",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}",
        '{"shape": (2,3), "descr": "<f4", "fortran_order": False}',
        "{'descr':'<f4','fortran_order':False,'shape':(2L,3L,),}",
        "{ 'descr' : '<f4' , 'fortran_order' : False , 'shape' : ( 2 , 3 ) , }",
    ],
)
def test_headers_as_programs_write_them(version: tuple[int, int], text: str) -> None:
    stream = file(text, version)
    found = read_header(stream, "x.npy")
    assert (found.shape, found.fortran, found.dtype) == ((2, 3), False, np.dtype("<f4"))
    assert (found.count, found.bytes) == (6, 24)
    assert stream.read() == b""


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0), None])
@pytest.mark.parametrize("shape", [(), (5,), (0,), (2, 0, 3), (1,) * 32])
@pytest.mark.parametrize("dtype", ["i1", "<u2", ">i4", "f2", "<f8", "?", "u8", "longdouble"])
def test_what_numpy_writes_is_read(version: tuple[int, int] | None, shape: tuple[int, ...], dtype: str) -> None:
    for order in ("C", "F"):
        array = np.zeros(shape, dtype, order=order)
        stream = io.BytesIO()
        np.lib.format.write_array(stream, array, version=version)
        stream.seek(0)
        found = read_header(stream, "x.npy")
        stream.seek(0)
        assert np.lib.format.read_magic(stream) in LENGTH_BYTES
        if version in ((1, 0), None):
            assert np.lib.format.read_array_header_1_0(stream) == (found.shape, found.fortran, found.dtype)
        assert found.shape == shape and found.dtype == array.dtype


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (header(shape="(-1, 3)"), "its shape must be a tuple of whole numbers, not '-1, 3'"),
        (header(shape="(True, 3)"), "tuple of whole numbers"),
        (header(shape="(2.0, 3)"), "tuple of whole numbers"),
        (header(shape="(1e3,)"), "tuple of whole numbers"),
        (header(shape="(3)"), "tuple of whole numbers"),
        (header(shape="(,)"), "tuple of whole numbers"),
        (header(shape="(1,,2)"), "tuple of whole numbers"),
        (header(shape="(2**3,)"), "tuple of whole numbers"),
        (header(shape="(" + "9" * 5000 + ",)"), "tuple of whole numbers"),
        (header(shape="(1_0,)"), "tuple of whole numbers"),
        (header(shape="'2, 3'"), "tuple of whole numbers"),
        (header(shape="False"), "tuple of whole numbers"),
        (header(shape="[2, 3]"), "tuple of whole numbers"),
        (header(shape="((2,), 3)"), "tuple of whole numbers"),
        (header(shape="(9999999999999999999,)"), "more bytes than any machine"),
        (header(shape="(0, 9223372036854775807, 9223372036854775807)"), "more bytes than any machine"),
        (header(shape="(" + "1," * 65 + ")"), "its shape has 65 axes, at most 64 are possible"),
        (header(order="0"), "where a key and its value belong"),
        (header(order="'False'"), "fortran_order is neither True nor False"),
        (header(order="None"), "where a key and its value belong"),
        (header(descr="'|O'"), "holds Python objects"),
        (header(descr="'O8'"), "holds Python objects"),
        (header(descr="[('a', '<f4'), ('b', '<i2')]"), "dtype of fields, .*is not a number type"),
        (header(descr="('<f4', (2,))"), "is not a number type"),
        (header(descr="'<U5'"), "dtype <U5 is not a number type"),
        (header(descr="'<c16'"), "is not a number type"),
        (header(descr="'<M8[s]'"), "is not a number type"),
        (header(descr="'V4'"), "is not a number type"),
        (header(descr="'<f3'"), "is not a number type"),
        (header(descr="'<i16'"), "is not a number type"),
        (header(descr="'f4,f4'"), "is not a number type"),
        (header(descr="True"), "is not a number type"),
        (header(descr="4"), "where a key and its value belong"),
        ("", "its header is no dict"),
        ("[]", "its header is no dict"),
        ("{}", "its header has no descr"),
        ("{'descr': '<f4', 'shape': (2, 3)}", "its header has no fortran_order"),
        ("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}", "where a key"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), 'more': True}", "'more'.*where a key"),
        (header().replace(",", ";"), "where a key"),
        (header() + "}", "where a key"),
        (header() + " or __import__('os').getpid()", "its header is no dict"),
        ("{" * 4000 + "}" * 4000, "where a key"),
        (header(shape="(" * 3000 + ")" * 3000), "tuple of whole numbers"),
        (header(descr="[" * 3000 + "]" * 3000), "is not a number type"),
        (b"{'descr': '\xff\xfe', 'fortran_order': False, 'shape': (2, 3)}", "is not a number type"),
        ("\0" * 60, "its header is no dict"),
        (header() + " " * LONGEST_HEADER, f"is longer than {LONGEST_HEADER}"),
    ],
)
def test_anything_else_is_one_error(text: str | bytes, message: str) -> None:
    for version in LENGTH_BYTES:
        with pytest.raises(UnusableInput, match=message) as caught:
            read_header(file(text, version), "x.npy")
        said = str(caught.value)
        assert said.startswith("x.npy: ") and said.isprintable() and len(said) < 1000


@pytest.mark.parametrize("version", [(0, 0), (1, 1), (4, 0), (255, 255)])
def test_other_versions_are_refused(version: tuple[int, int]) -> None:
    with pytest.raises(UnusableInput, match=rf"version {version[0]}\.{version[1]} of the format does not exist"):
        read_header(file(header(), version), "x.npy")


def test_a_header_that_is_longer_than_the_file() -> None:
    for cut in range(len(file(header()).getvalue())):
        with pytest.raises(UnusableInput, match=r"not a \.npy file"):
            read_header(io.BytesIO(file(header()).getvalue()[:cut]), "x.npy")
    with pytest.raises(UnusableInput, match="its header of 4294967295 bytes is longer"):
        read_header(file(header(), (2, 0), 2**32 - 1), "x.npy")


def judged(content: bytes) -> Any:
    """What the header says, None where it is refused; nothing but the project's error may come."""
    try:
        found = read_header(io.BytesIO(content), "x.npy")
    except UnusableInput as error:
        assert len(str(error)) < 1000 and "\n" not in str(error)
        return None
    assert all(type(length) is int and length >= 0 for length in found.shape)
    assert found.dtype.kind in "fiub"
    return found


def test_every_damaged_byte() -> None:
    whole = array_bytes(np.zeros((12, 3), np.int16))[:128]
    refused = 0
    for at in range(len(whole)):
        for value in range(256):
            refused += judged(whole[:at] + bytes([value]) + whole[at + 1 :]) is None
    assert refused > 128 * 256 // 2


@given(st.text("{}()[]'\", :TrueFals0123456789-.Ldescrfotanhp_<>=|\n\\", max_size=80))
def test_any_text_is_a_header_or_one_error(text: str) -> None:
    judged(file(text).getvalue())
    judged(file(header(shape=f"({text})")).getvalue())
    judged(file(header(descr=text)).getvalue())
