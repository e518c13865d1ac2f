"""Vectors: tensors of integer codes in files, under one manifest: run outputs, golden vectors, dumps."""

from __future__ import annotations

from intsim.vectors.manifest import Entry, Manifest, Recorded, read_manifest, write_case, write_manifest
from intsim.vectors.result import write_result

__all__ = ["Entry", "Manifest", "Recorded", "read_manifest", "write_case", "write_manifest", "write_result"]
