"""Packed kernels: whole networks on NHWC buffers of bytes, in the instructions that the processor has.

A buffer holds one image's codes as u8, channels last, `code + 128` for signed formats (`stored`); channels are padded
to a multiple of 16 (at most 4 of them to 4). The image is physically padded with the stored zero point of the
convolutions that read it. What lies in padded channels is unspecified.

- `isa.py`: which instruction sets there are; `ir.py`: vectors and instructions as LLVM emitters.
- `rows.py`: the columns of the op table, of which each op has one row; `program.py`: the interpreter that runs it.
- `ops/<op>.py`: `make(literal integers)`, the cfunc `(row, start, stop) -> 0` of units of work [start, stop). Any
  partition of the units gives the same bits, on threads at the same time.
- `requantizers.py`: a spec requantizer's parameters as an epilogue's numbers, or why there is none.
- `epilogues.py`: from accumulators in registers to stored bytes, and counts of what was clipped.

All instruction sets give the same bits. None of these modules knows a layer: intsim.plan.packed fills the rows.
"""
