"""Files: what is read without trusting it, and writes that never leave half a file or half a folder.

opening: only regular files are opened. npy: the header of a .npy file. arrays: .npy and .npz files. text: TOML and
JSON. writing: a file or a folder at once. swap: two paths exchanged. leftovers: what killed writers leave.
"""

from __future__ import annotations

from intsim.files.arrays import array_bytes, read_array, read_arrays
from intsim.files.opening import opened, read_bytes, sha256
from intsim.files.text import read_json, read_toml
from intsim.files.writing import new_folder, put_back, write_array, write_file

__all__ = [
    "array_bytes",
    "new_folder",
    "opened",
    "put_back",
    "read_array",
    "read_arrays",
    "read_bytes",
    "read_json",
    "read_toml",
    "sha256",
    "write_array",
    "write_file",
]
