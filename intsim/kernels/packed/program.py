"""The interpreter of op tables: whole networks in one call without the GIL, on one thread or more."""

from __future__ import annotations

import functools
from typing import Any

from numba import carray, types

from intsim.kernels._jit import kernel, op
from intsim.kernels.packed.memory import LINE, at, fetch_add, invoke, wait_for_all
from intsim.kernels.packed.rows import BORDER, BORDER_FIELDS, COLUMNS, FUNCTION, TOTAL

PARTS = 4
"""Parts for each thread that an op is divided into, handed out as threads ask for them."""

GENERATION, IMAGE, WORK = 2, 2, 3
"""Of the shared memory, in cache lines: the barrier's two, the next image, the next part of the running op."""

LINES = 4


@kernel
def run_program(tables: Any, segments: Any, places: Any, images: Any, thread: Any, threads: Any, shared: Any) -> None:
    """Run a program on `images` images; each of the threads makes this same call with its own number.

    tables: int64[threads, ops, COLUMNS], a copy for each thread, whose addresses are in its own workspace.
    segments: int64[n, 3]: first op, stop, and whether its ops take all images at once. In the others, images are shared
    out over the threads; those left over are done by all threads together, each op in parts.
    places: int64[m, 4]: op, column, address, stride: what is address + image * stride in the segments of single images;
    the tables have those of the first image, where there is one only.
    shared: the address of LINES zeroed cache lines.
    """
    work = shared + WORK * LINE
    for segment in range(segments.shape[0]):
        first, stop, whole = segments[segment, 0], segments[segment, 1], segments[segment, 2]
        together = 0
        if whole == 0:
            together = images - images % threads
            while threads > 1 and together > 0:
                image = fetch_add(shared + IMAGE * LINE, 1)
                if image >= together:
                    break
                place_image(tables[thread], places, first, stop, image)
                for op in range(first, stop):
                    run_part(tables[thread], op, 0, 1)
            if threads == 1:
                for image in range(together):
                    place_image(tables[0], places, first, stop, image)
                    for op in range(first, stop):
                        run_part(tables[0], op, 0, 1)
            elif together > 0:
                wait_for_all(shared, threads, shared + IMAGE * LINE)
        rest = 1 if whole else images - together
        for number in range(rest):
            if whole == 0 and images > 1:
                if thread == 0:
                    place_image(tables[0], places, first, stop, together + number)
                if threads > 1:
                    wait_for_all(shared, threads, work)
            for op in range(first, stop):
                if threads == 1:
                    run_part(tables[0], op, 0, 1)
                    continue
                parts = min(tables[0, op, TOTAL], threads * PARTS)
                while True:
                    part = fetch_add(work, 1)
                    if part >= parts:
                        break
                    run_part(tables[0], op, part, parts)
                wait_for_all(shared, threads, work)


TABLES, OPS, SEGMENTS, SEGMENT_COUNT, PLACES, PLACE_COUNT, IMAGES, SHARED = range(8)
"""The int64 of a job: the arguments of run_program, arrays by address and length."""

JOB = 8


@functools.cache
def make_job() -> Any:
    """The cfunc int64(job, thread, threads) of `run_program`: one thread's call of it."""

    def run_job(job: Any, thread: Any, threads: Any) -> Any:
        fields = carray(at(job), JOB, types.int64)
        run_program(
            carray(at(fields[TABLES]), (threads, fields[OPS], COLUMNS), types.int64),
            carray(at(fields[SEGMENTS]), (fields[SEGMENT_COUNT], 3), types.int64),
            carray(at(fields[PLACES]), (fields[PLACE_COUNT], 4), types.int64),
            fields[IMAGES],
            thread,
            threads,
            fields[SHARED],
        )
        return 0

    return op(run_job)


@kernel
def place_image(table: Any, places: Any, first: Any, stop: Any, image: Any) -> None:
    """Set the addresses that depend on the image."""
    for i in range(places.shape[0]):
        op = places[i, 0]
        if first <= op < stop:
            table[op, places[i, 1]] = places[i, 2] + image * places[i, 3]


@kernel
def run_part(table: Any, op: Any, part: Any, parts: Any) -> None:
    """Part number `part` of `parts` of an op; the first one also fills the padding around its output."""
    total = table[op, TOTAL]
    if part == 0 and table[op, BORDER] != 0:
        fill_border(table[op, BORDER])
    invoke(
        table[op, FUNCTION], table.ctypes.data + op * COLUMNS * 8, part * total // parts, (part + 1) * total // parts
    )


@kernel
def fill_border(address: Any) -> None:
    """Fill the padding of a buffer: see rows.BORDER_FIELDS."""
    fields = carray(at(address), BORDER_FIELDS, types.int64)
    height, width, pixel = fields[1], fields[2], fields[3]
    top, left, bottom, right, element, size = fields[4], fields[5], fields[6], fields[7], fields[8], fields[9]
    pixel //= size
    line = (left + width + right) * pixel
    length = (top + height + bottom) * line
    if size == 1:
        fill_around(carray(at(fields[0]), length, types.uint8), top, left, height, width, line, pixel, element)
    else:
        fill_around(carray(at(fields[0]), length, types.int16), top, left, height, width, line, pixel, element)


@kernel
def fill_around(memory: Any, top: Any, left: Any, height: Any, width: Any, line: Any, pixel: Any, element: Any) -> None:
    """Fill what is around the image; line, pixel: in elements."""
    memory[: top * line] = element
    memory[(top + height) * line :] = element
    for y in range(top, top + height):
        memory[y * line : y * line + left * pixel] = element
        memory[y * line + (left + width) * pixel : (y + 1) * line] = element
