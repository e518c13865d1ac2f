"""Packed kernels: whole networks on NHWC buffers of bytes, in the instructions that the processor has.

A buffer holds one image's codes as u8, channels last, `code + 128` for signed formats (`stored`); channels are padded
to a multiple of 16 (at most 4 of them to 4), and the image is physically padded with the stored zero point of the
convolutions that read it. Each op is one cfunc `(row, start, stop) -> 0` on a row of the op table (`rows.py`); the
interpreter in `program.py` runs the table.
"""
