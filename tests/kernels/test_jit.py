from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numba
import pytest

from intsim.kernels import _jit
from intsim.kernels._jit import KEEP, cache_folder, digest, prune

SOURCES = Path(_jit.__file__).parent
RUN = """
import numpy as np
from intsim.kernels.add import add
x = np.arange(-8, 8, dtype=np.int8)
y = add(x, x, a_shift=0, b_shift=1, shift=1, rounding="half_up", bits=8, signed=True)
assert list(y) == [(3 * int(v) + 1) >> 1 for v in x], y
"""


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A copy of the kernels' sources."""
    return Path(shutil.copytree(SOURCES, tmp_path / "sources", ignore=shutil.ignore_patterns("__pycache__")))


def run(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The script, run in a process of its own with these variables."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("NUMBA_", "XDG_"))}
    root = str(SOURCES.parents[1])
    return subprocess.run(
        [sys.executable, "-c", script],
        env={**kept, "PYTHONPATH": root, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def made(sources: Path) -> Path:
    """The folder of these sources as the environment is now, and not as it was at the first call."""
    folder = cache_folder.__wrapped__(sources)
    assert folder is not None
    return folder


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_editing_any_source_changes_the_digest(sources: Path) -> None:
    before = digest(sources)
    assert before == digest(SOURCES)
    for path in sorted(sources.glob("*.py")):
        original = path.read_text()
        path.write_text(original + "\n")
        assert digest(sources) != before, path.name
        path.write_text(original)
    assert digest(sources) == before
    (sources / "rounding.py").rename(sources / "rounding2.py")
    assert digest(sources) != before


def test_the_folder_is_private_and_named_by_the_digest(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_jit._config, "CACHE_DIR", str(tmp_path / "cache"))
    folder = made(sources)
    assert folder == tmp_path / "cache" / f"kernels-{digest(sources)}"
    assert mode(folder) == mode(folder.parent) == 0o700
    folder.chmod(0o755)
    made(sources)
    assert mode(folder) == 0o700


def test_the_users_cache_folder(sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_jit._config, "CACHE_DIR", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert made(sources) == tmp_path / "xdg" / "intsim" / f"kernels-{digest(sources)}"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert made(sources).parent == tmp_path / "home" / ".cache" / "intsim"


def test_folders_of_others_and_links_are_not_used(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_jit._config, "CACHE_DIR", str(tmp_path / "cache"))
    folder = made(sources)
    other = folder.stat().st_uid + 1
    monkeypatch.setattr(os, "getuid", lambda: other)
    assert cache_folder.__wrapped__(sources) is None
    monkeypatch.undo()
    monkeypatch.setattr(_jit._config, "CACHE_DIR", str(tmp_path / "cache"))
    folder.rmdir()
    (tmp_path / "elsewhere").mkdir()
    folder.symlink_to(tmp_path / "elsewhere")
    assert cache_folder.__wrapped__(sources) is None


def test_a_place_where_no_folder_can_be(sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(_jit._config, "CACHE_DIR", str(tmp_path / "file" / "cache"))
    assert cache_folder.__wrapped__(sources) is None


def test_old_folders_are_pruned(tmp_path: Path) -> None:
    folders = [tmp_path / f"kernels-{i}" for i in range(KEEP + 3)]
    for age, folder in enumerate(folders):
        folder.mkdir()
        (folder / "code").touch()
        os.utime(folder, (1e9 - age, 1e9 - age))
    (tmp_path / "other").mkdir()
    newest, current = folders[: KEEP - 1], folders[-1]
    prune(current)
    assert sorted(tmp_path.iterdir()) == sorted([*newest, current, tmp_path / "other"])


@pytest.mark.nojit
def test_without_jit_nothing_is_compiled_or_cached(tmp_path: Path) -> None:
    script = RUN + "from intsim.kernels.add import _elements; assert type(_elements).__name__ == 'function'"
    result = run(script, NUMBA_DISABLE_JIT="1", NUMBA_CACHE_DIR=str(tmp_path / "cache"))
    assert result.returncode == 0, result.stderr
    assert not (tmp_path / "cache").exists()


def test_a_home_that_cannot_be_written_compiles_without_a_cache(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = run(RUN, HOME=str(tmp_path / "file"))
    assert (result.returncode, result.stderr) == (0, "")


def test_machine_code_is_loaded_again_and_the_configuration_left_alone(tmp_path: Path) -> None:
    script = RUN + (
        "import numba; assert numba.config.CACHE_DIR == CACHE\n"
        "from intsim.kernels.add import _elements\n"
        "print(sum(_elements.stats.cache_hits.values()), sum(_elements.stats.cache_misses.values()))"
    )
    for expected in ("0 1", "1 0"):
        result = run(script.replace("CACHE\n", f"{str(tmp_path)!r}\n"), NUMBA_CACHE_DIR=str(tmp_path))
        assert (result.stdout.strip(), result.stderr) == (expected, "")
    (folder,) = tmp_path.iterdir()
    assert mode(folder) == 0o700
    assert list(folder.rglob("*.nbi"))


def test_machine_code_is_loaded_without_what_compiles_until_something_is_compiled(tmp_path: Path) -> None:
    script = RUN + (
        "import sys\n"
        "print('numba.np.arraymath' in sys.modules)\n"
        "z = add(x.astype(np.int16), x, a_shift=0, b_shift=1, shift=1, rounding='half_up', bits=8, signed=True)\n"
        "assert np.array_equal(y, z)\n"
        "print('numba.np.arraymath' in sys.modules)\n"
    )
    assert run(RUN, NUMBA_CACHE_DIR=str(tmp_path)).returncode == 0
    for expected in ("False True", "False False"):
        result = run(script, NUMBA_CACHE_DIR=str(tmp_path))
        assert (result.stdout.split(), result.stderr) == (expected.split(), "")


def test_processes_at_once_do_not_break(tmp_path: Path) -> None:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA_")}
    environment = {**kept, "PYTHONPATH": str(SOURCES.parents[1]), "NUMBA_CACHE_DIR": str(tmp_path)}
    processes = [
        subprocess.Popen([sys.executable, "-c", RUN], env=environment, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=300)
        assert (process.returncode, errors) == (0, "")


def test_threads_that_decorate_at_the_same_time_keep_to_the_folder() -> None:
    before = numba.config.CACHE_DIR
    folder = _jit.cache_folder(Path(_jit.__file__).parent)

    def decorate(_: int) -> Any:
        with _jit._cached():
            time.sleep(0.001)
            return numba.config.CACHE_DIR

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(decorate, range(40))) == {str(folder or "")}
    assert before == numba.config.CACHE_DIR
