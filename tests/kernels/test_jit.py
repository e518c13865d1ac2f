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
from intsim.kernels._jit import cache_folder, closure, digest, imported, prune, settings

SOURCES = Path(_jit.__file__).parent
RUN = """
import numpy as np
from intsim.kernels.add import add
x = np.arange(-8, 8, dtype=np.int8)
y = add(x, x, a_shift=0, b_shift=1, shift=1, rounding="half_up", bits=8, signed=True)
assert list(y) == [(3 * int(v) + 1) >> 1 for v in x], y
"""

PACKED = """
import hashlib, numpy as np
from tests.plan.packed.chains import Network
from intsim.formats import Format
from intsim.plan import make_plan
from intsim.run.engine import Engine
f = Format(8, scale=(0.125,))
net = Network()
net.input("x", (20, 3, 5), f)
net.layer("z", "clip", "x", f, low=-100, high=90)
result = Engine(make_plan(net.lowered()), 1).run(net.given)
print(hashlib.sha256(result.outputs["z"].values.tobytes()).hexdigest())
"""


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A copy of the kernels' sources."""
    return Path(shutil.copytree(SOURCES, tmp_path / "kernels", ignore=shutil.ignore_patterns("__pycache__")))


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
    """The folder of a file of these sources as the environment is now, and not as it was at the first call."""
    folder = cache_folder.__wrapped__(sources / "add.py", "")
    assert folder is not None
    return folder


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def digests(sources: Path) -> dict[str, str]:
    imported.cache_clear()
    return {path.relative_to(sources).as_posix(): digest(path) for path in sorted(sources.rglob("*.py"))}


def test_a_change_concerns_what_imports_the_file_and_nothing_else(sources: Path) -> None:
    """Directly or not, and however the import is written."""
    before = digests(sources)
    assert before == digests(SOURCES)
    for changed in ("rounding.py", "packed/ir.py", "packed/ops/copy.py", "windows.py", "_jit.py"):
        path = sources / changed
        original = path.read_text()
        path.write_text(original + "\n")
        after = digests(sources)
        concerned = {name for name in before if path in closure(sources / name)}
        assert {name for name in before if after[name] != before[name]} == concerned, changed
        assert changed in concerned
        path.write_text(original)
    assert len([name for name in before if sources / "rounding.py" in closure(sources / name)]) > 15
    assert sources / "packed/ops/copy.py" not in closure(sources / "add.py")
    assert sources / "_jit.py" in closure(sources / "add.py")


def test_the_closure_is_what_python_imports(sources: Path) -> None:
    """Modules that are loaded by importing a kernel file alone."""
    script = "import sys, {0}; print(*[m.__file__ for n, m in sys.modules.items() if n.startswith('intsim.kernels.')])"
    for module in ("requantize_tosa", "packed.ops.conv", "packed.program", "post_conv"):
        result = run(script.format(f"intsim.kernels.{module}"))
        loaded = {Path(name) for name in result.stdout.split()} - {SOURCES / "packed/__init__.py"}
        found = closure(SOURCES / f"{module.replace('.', '/')}.py")
        assert {path for path in loaded if path.name != "__init__.py"} == {
            path for path in found if path.name != "__init__.py"
        }, result.stderr


def test_the_folder_is_private_and_named_by_the_digest(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_jit._config, "CACHE_DIR", str(tmp_path / "cache"))
    folder = made(sources)
    assert folder == tmp_path / "cache" / f"kernels-{digest(sources / 'add.py')}"
    assert mode(folder) == mode(folder.parent) == 0o700
    folder.chmod(0o777)
    assert cache_folder.__wrapped__(sources / "add.py", "") is None
    assert mode(folder) == 0o777, "what others may write to is left alone"


def test_the_users_cache_folder(sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_jit._config, "CACHE_DIR", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert made(sources) == tmp_path / "xdg" / "intsim" / f"kernels-{digest(sources / 'add.py')}"
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
    assert cache_folder.__wrapped__(sources / "add.py", "") is None
    monkeypatch.undo()
    monkeypatch.setattr(_jit._config, "CACHE_DIR", str(tmp_path / "cache"))
    folder.rmdir()
    (tmp_path / "elsewhere").mkdir()
    folder.symlink_to(tmp_path / "elsewhere")
    assert cache_folder.__wrapped__(sources / "add.py", "") is None


def test_a_place_where_no_folder_can_be(sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(_jit._config, "CACHE_DIR", str(tmp_path / "file" / "cache"))
    assert cache_folder.__wrapped__(sources / "add.py", "") is None


def test_old_folders_are_pruned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_jit, "KEEP", 4)
    folders = [tmp_path / f"kernels-{i:016x}" for i in range(7)]
    for age, folder in enumerate(folders):
        folder.mkdir(mode=0o700)
        (folder / "code").touch()
        os.utime(folder, (1e9 - age, 1e9 - age))
    newest, current = folders[:3], folders[-1]
    prune(current)
    assert sorted(tmp_path.iterdir()) == sorted([*newest, current])


def test_only_folders_of_our_own_making_are_pruned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else lies there is the user's."""
    monkeypatch.setattr(_jit, "KEEP", 1)
    digits = "0123456789abcdef"
    ours, current = tmp_path / f"kernels-{digits}", tmp_path / f"kernels-{digits[::-1]}"
    elsewhere = tmp_path / "elsewhere"
    others = [tmp_path / name for name in ("kernels-", "kernels-notes", f"kernels-{digits}0", f"my-kernels-{digits}")]
    for folder in (ours, current, elsewhere, *others):
        folder.mkdir(mode=0o700)
    link = tmp_path / f"kernels-{'a' * 16}"
    link.symlink_to(elsewhere)
    file = tmp_path / f"kernels-{'b' * 16}"
    file.write_text("the user's")
    shared = tmp_path / f"kernels-{'c' * 16}"
    shared.mkdir()
    shared.chmod(0o777)
    prune(current)
    assert not ours.exists()
    assert all(path.exists() for path in (current, elsewhere, link, file, shared, *others))


def test_settings_of_numba_have_folders_of_their_own(tmp_path: Path) -> None:
    """What was compiled under one is never run without it; the codes are the same."""
    shared = {name: os.environ[name] for name in ("NUMBA_CACHE_DIR",) if name in os.environ}
    plain = run(PACKED, **shared)
    assert plain.returncode == 0, plain.stderr
    checked = run(PACKED, NUMBA_CACHE_DIR=str(tmp_path), NUMBA_BOUNDSCHECK="1", NUMBA_DEBUGINFO="1")
    assert (checked.returncode, checked.stdout) == (0, plain.stdout), checked.stderr
    folder = cache_folder(SOURCES / "packed/program.py", settings())
    assert folder is not None and not (tmp_path / folder.name).exists()


@pytest.mark.parametrize(
    "variable",
    [f"NUMBA_{name}" for name in ("BOUNDSCHECK=1", "DEBUGINFO=1", "OPT=0", "LOOP_VECTORIZE=0", "ENABLE_AVX=0")],
)
def test_each_setting_changes_the_digest(variable: str) -> None:
    name, value = variable.split("=")
    script = "from intsim.kernels._jit import settings; print(settings())"
    assert run(script).stdout != run(script, **{name: value}).stdout


def test_settings_that_change_no_code_share_the_folders(tmp_path: Path) -> None:
    assert run("from intsim.kernels._jit import settings; print(settings())", NUMBA_NUM_THREADS="1").stdout == (
        run("from intsim.kernels._jit import settings; print(settings())").stdout
    )
    assert "BOUNDSCHECK" in settings()


def test_what_is_compiled_is_announced(tmp_path: Path) -> None:
    script = (
        """
from intsim.kernels._listeners import listening
names = []
with listening(lambda name, begins: names.append(name if begins else "/" + name)):
"""
        + "".join(f"    {line}\n" for line in RUN.strip().splitlines())
        + "print(names)"
    )
    told = "['_elements', '/_elements', '_rows', 'shift_right', '/shift_right', '/_rows']"
    assert run(script, NUMBA_CACHE_DIR=str(tmp_path)).stdout.strip() == told
    assert run(script, NUMBA_CACHE_DIR=str(tmp_path)).stdout.strip() == "[]"


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
    folders = list(tmp_path.iterdir())
    assert all(mode(folder) == 0o700 for folder in folders)
    assert len([folder for folder in folders if list(folder.rglob("*.nbi"))]) == 3, "one a file"


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
    folder = _jit.cache_folder(Path(__file__), settings())

    def decorate(_: int) -> Any:
        with _jit._cached(decorate):
            time.sleep(0.001)
            return numba.config.CACHE_DIR

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(decorate, range(40))) == {str(folder or "")}
    assert before == numba.config.CACHE_DIR
