"""Every mistake of a user is one line on stderr and exit code 2; nothing is written."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import intsim.cli
from intsim.cli import run_line
from tests.cli.conftest import Cli, Files
from tests.cli.small_model import small_images, small_reals

INTSIM = str(Path(sys.executable).with_name("intsim"))


def check_refused(cli: Cli, arguments: list[Any], *parts: str) -> None:
    done = cli(*arguments)
    assert (done.code, done.out) == (2, ""), done
    assert done.err.startswith("intsim: error: ") and done.err.count("\n") == 1, done.err
    assert "internal" not in done.err
    for part in parts:
        assert part in done.err


@pytest.fixture
def broken(tmp_path: Path, files: Files) -> Path:
    """A folder of inputs of no use."""
    x = small_reals(3)
    nan, codes = x.copy(), small_images(3).astype(np.int16)
    nan[1, 0, 2, 3], codes[2, 1, 0, 4] = np.nan, 128
    arrays = {
        "shape": x[:, :1],
        "axes": x[0],
        "last": np.moveaxis(x, 1, 3),
        "nan": nan,
        "range": codes,
        "empty": x[:0],
        "scalar": np.float32(1),
        "bool": x > 0,
        "complex": x.astype(np.complex64),
    }
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
    np.save(tmp_path / "pickle.npy", np.array([{}], object), allow_pickle=True)
    np.savez(tmp_path / "no_x.npz", z=x)
    np.savez(tmp_path / "labels.npz", x=x, y=np.zeros(2, np.int64))
    np.savez(tmp_path / "float_labels.npz", x=x, y=np.zeros(3))
    (tmp_path / "truncated.npy").write_bytes(Path(files.reals).read_bytes()[:500])
    (tmp_path / "truncated.npz").write_bytes(Path(files.labelled).read_bytes()[:500])
    (tmp_path / "truncated.onnx").write_bytes(Path(files.model).read_bytes()[:3000])
    (tmp_path / "unknown_key.toml").write_text("colour = 3\n")
    (tmp_path / "no.toml").write_text("rounding =\n")
    (tmp_path / "rule.toml").write_text('rounding = "nearest"\n')
    for name in ("text", "text.pt2"):
        (tmp_path / name).write_text("text")
    return tmp_path


@pytest.mark.parametrize(
    ("file", "part"),
    [
        ("missing.npy", "cannot read missing.npy: No such file or directory"),
        ("missing.npz", "cannot read missing.npz: No such file or directory"),
        ("truncated.npy", "truncated.npy: truncated"),
        ("truncated.npz", "truncated.npz: not a readable .npz file"),
        ("text", "text: not a .npy file"),
        ("shape.npy", "expected shape [N, 2, 8, 8], got shape [3, 1, 8, 8]"),
        ("axes.npy", "expected 4 axes"),
        ("last.npy", "transpose to (0, 3, 1, 2)"),
        ("nan.npy", "nan at (1, 0, 2, 3)"),
        ("range.npy", "code 128 at (2, 1, 0, 4) is outside"),
        ("empty.npy", "an empty batch"),
        ("scalar.npy", "expected 4 axes"),
        ("bool.npy", "not bool"),
        ("complex.npy", "complex64"),
        ("pickle.npy", "never loaded"),
        ("no_x.npz", "no_x.npz: must hold an array x, not only z"),
        ("labels.npz", "labels y must be 3 integers"),
        ("float_labels.npz", "labels y must be 3 integers"),
        ("other=shape.npy", "the model has no input 'other'; it has image"),
    ],
)
def test_inputs(cli: Cli, files: Files, broken: Path, file: str, part: str) -> None:
    check_refused(cli, ["run", files.model, "--input", file, "--output", "out"], part)
    check_refused(cli, ["compare", files.model, "--input", file, "--against", "spec"], part)
    assert not (broken / "out").exists()


def test_the_same_input_twice(cli: Cli, files: Files) -> None:
    arguments = ["run", files.model, "--input", files.reals, "--input", files.reals, "--output", "out"]
    check_refused(cli, arguments, "input 'image' is given twice")


@pytest.mark.parametrize(
    ("file", "part"),
    [
        ("missing.onnx", "No such file"),
        ("truncated.onnx", "truncated"),
        ("text", "not an ONNX model"),
        (".", "is not a file"),
    ],
)
@pytest.mark.parametrize(
    "command", ["inspect", "ranges", "run", "compare", "explain", "histogram", "quantize", "bench"]
)
def test_models(cli: Cli, files: Files, broken: Path, command: str, file: str, part: str) -> None:
    options = {
        "run": ["--input", files.reals, "--output", "out"],
        "compare": ["--input", files.reals, "--against", "spec"],
        "explain": ["--input", files.reals, "--tensor", "conv1_q", "--index", "0,0,0,0"],
        "histogram": ["--input", files.reals, "--output", "h.npz"],
        "quantize": ["--calibration", files.reals, "--output", "q.onnx"],
    }
    check_refused(cli, [command, file, *options.get(command, [])], part)
    assert not any((broken / name).exists() for name in ("out", "h.npz", "q.onnx"))


@pytest.mark.parametrize(
    ("target", "part"),
    [
        ("vpu", "unknown target 'vpu': one of auto, diffquant, onnxruntime"),
        ("missing.toml", "target file missing.toml"),
        ("no.toml", "target file no.toml"),
        ("unknown_key.toml", "unknown key 'colour'"),
        ("rule.toml", "rounding must be one of half_up"),
    ],
)
def test_targets(cli: Cli, files: Files, broken: Path, target: str, part: str) -> None:
    check_refused(cli, ["inspect", files.model, "--target", target], part)


def test_a_target_that_only_shifts(cli: Cli, files: Files) -> None:
    check_refused(cli, ["inspect", files.odd, "--target", "diffquant"], "--target onnxruntime", "intsim quantize")


@pytest.mark.parametrize(
    ("tap", "part"),
    [
        ("code", "tap 'code': must be one of codes, accumulator"),
        ("codes@", "no pattern after the @"),
        ("codes@conv9", "no tensor or node of that name; there are conv"),
        ("accumulator@pool1_q", "tensor 'pool1_q' has no accumulator"),
    ],
)
def test_taps(cli: Cli, files: Files, tmp_path: Path, tap: str, part: str) -> None:
    check_refused(cli, ["run", files.model, "--input", files.reals, "--output", "out", "--tap", tap], part)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("against", "part"),
    [
        ("tflite", "must be one of spec, target:NAME, onnxruntime, torch"),
        ("golden", "must be written golden:DIR"),
        ("spec:x", "must be written spec"),
        ("target:vpu", "unknown target 'vpu'"),
        ("golden:missing", "cannot read missing"),
        ("dump:.", "has no index.json or manifest.json"),
        ("torch:missing.pt2", "missing.pt2: no such file"),
        ("torch:text.pt2", "text.pt2: not an exported PyTorch program"),
        ("torch:text", "text: not an exported PyTorch program"),
    ],
)
def test_peers(cli: Cli, files: Files, broken: Path, against: str, part: str) -> None:
    check_refused(cli, ["compare", files.model, "--input", files.reals, "--against", against], part)


@pytest.mark.parametrize(
    ("command", "option"),
    [("run", "--output=text"), ("histogram", "--output=."), ("compare", "--report=.")]
    + [
        (command, option + output)
        for command, option in (("run", "--output="), ("histogram", "--output="), ("compare", "--report="))
        for output in ("text/below", "/proc/none", "/dev/null")
    ],
)
def test_outputs(cli: Cli, files: Files, broken: Path, command: str, option: str) -> None:
    against = ["--against", "spec"] if command == "compare" else []
    check_refused(cli, [command, files.model, "--input", files.reals, option, *against], option.partition("=")[2])
    assert (broken / "text").read_text() == "text"
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--tensor", "conv9", "--index", "0"], "tensor 'conv9': there is none, by tensor or by node; there are conv"),
        (["--tensor", "conv1_q", "--index", "0,0"], "must be inside the shape [N, 4, 8, 8]"),
        (["--tensor", "conv1_q", "--index", "9,0,0,0"], "has 5 rows"),
        (["--tensor", "conv1_q", "--index", "x"], "must be integers with commas"),
        (["--tensor", "conv1_q"], "Missing option '--index'; see intsim explain --help"),
    ],
)
def test_elements(cli: Cli, files: Files, arguments: list[str], part: str) -> None:
    check_refused(cli, ["explain", files.model, "--input", files.reals, *arguments], part)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["inspct"], "No such command 'inspct'; try inspect"),
        (["run"], "Missing argument 'MODEL'; see intsim run --help"),
        (["inspect", "m.onnx", "--colour"], "No such option"),
        (["inspect", "m.onnx", "--threads", "0"], "0 is not in the range"),
        (["quantize", "m.onnx", "--calibration", "x.npy", "--bits", "3", "--output", "q.onnx"], "'3' is not one of"),
        (["demo", "--images", "513"], "the demo has 512 images"),
    ],
)
def test_options(cli: Cli, arguments: list[str], part: str) -> None:
    check_refused(cli, arguments, part)


def test_calibration_data(cli: Cli, files: Files, broken: Path) -> None:
    from intsim import demo

    quantize = ["quantize", str(demo.float_model()), "--output", "q.onnx", "--calibration"]
    check_refused(cli, [*quantize, files.reals], "must have the shape [N, 1, 28, 28]")
    check_refused(cli, [*quantize, files.codes], "must be reals")
    check_refused(cli, [*quantize, "no_x.npz"], "must hold an array x")
    check_refused(cli, [*quantize, str(demo.images()), "--momentum", "2"], "momentum must be above 0")
    check_refused(cli, ["quantize", files.model, "--output", "q.onnx", "--calibration", files.reals], "already")


def test_a_float_model_is_not_run(cli: Cli, files: Files) -> None:
    from intsim import demo

    check_refused(cli, ["inspect", str(demo.float_model())], "quantize it first")


def test_a_full_disk(files: Files, tmp_path: Path) -> None:
    """A file may not grow beyond 1000 bytes: what a full disk looks like to the program that writes."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}  # kernels need no cache file then
    command = [INTSIM, "run", files.model, "--input", files.codes, "--tap", "codes", "--output", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=limit, env=environment)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"intsim: error: cannot write {tmp_path / 'out'}") and done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_full_standard_output(files: Files, options: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [INTSIM, "inspect", files.model, *options], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 2
    assert done.stderr.startswith("intsim: error: standard output") and done.stderr.count("\n") == 1


def test_a_reader_that_leaves(files: Files) -> None:
    """A closed pipe is neither equal (0) nor a mismatch (1)."""
    command = [INTSIM, "compare", files.model, "--input", files.codes, "--against", "spec"]
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as closed:
        done = subprocess.run(command, stdout=closed, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (141, "")


def test_our_own_mistakes_exit_with_3(
    cli: Cli, files: Files, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("one\nand two")

    monkeypatch.setattr("intsim.model.load", fail)
    monkeypatch.delenv("INTSIM_DEBUG", raising=False)
    done = cli("inspect", files.model)
    assert (done.code, done.out) == (3, "")
    assert done.err.startswith("intsim: error: internal: ZeroDivisionError: one and two") and done.err.count("\n") == 1
    monkeypatch.setenv("INTSIM_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        run_line(["inspect", files.model])


def test_interrupted_and_out_of_memory(cli: Cli, files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    for error, code in ((KeyboardInterrupt(), 130), (MemoryError(), 2)):

        def fail(*_: Any, error: BaseException = error, **__: Any) -> None:
            raise error

        monkeypatch.setattr("intsim.model.load", fail)
        done = cli("inspect", files.model)
        assert done.code == code and done.err.strip().count("\n") == 0


def test_names_in_a_file_do_not_steer_the_terminal(cli: Cli, files: Files, tmp_path: Path) -> None:
    name = "evil\x1b[2J.npy"
    done = cli("run", files.model, "--input", name, "--output", "out")
    assert done.code == 2 and "\x1b" not in done.err and "evil\\x1b[2J.npy" in done.err
    assert intsim.cli.BROKEN_PIPE == 141


@pytest.mark.parametrize("command", ["run", "inspect"])
def test_an_unknown_instruction_set(cli: Cli, files: Files, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.setenv("INTSIM_ISA", "foo")
    arguments = ["--input", files.codes, "--output", "out"] if command == "run" else []
    told = "INTSIM_ISA must be one of avx512vnni, avxvnni, avx2, portable, not 'foo'"
    check_refused(cli, [command, files.model, *arguments], told)
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        (["comapre", "--json"], "UsageError"),
        (["run", "--json"], "UsageError"),
        (["inspect", "none.onnx", "--json"], "UnusableInput"),
        (["inspect", "none.onnx", "--target", "difquant", "--json"], "UnusableInput"),
    ],
)
def test_errors_under_json_are_json(cli: Cli, arguments: list[str], kind: str) -> None:
    done = cli(*arguments)
    assert done.code == 2 and done.json["schema_version"] == 1
    error = done.json["error"]
    assert (error["kind"], error["exit_code"]) == (kind, 2)
    assert done.err == f"intsim: error: {error['message']}\n"


def test_a_name_that_is_only_like_json_asks_for_nothing(cli: Cli) -> None:
    done = cli("inspect", "--", "--json")
    assert (done.code, done.out) == (2, "")


def test_our_own_mistakes_under_json(cli: Cli, files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr("intsim.model.load", fail)
    monkeypatch.delenv("INTSIM_DEBUG", raising=False)
    done = cli("inspect", files.model, "--json")
    assert done.code == 3 and done.json["error"]["kind"] == "InternalError"


def test_the_head_of_a_pipe(files: Files) -> None:
    """A reader that takes one line and leaves, before or after the rest was written: nothing on stderr."""
    script = f"'{INTSIM}' inspect '{files.model}' | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    assert done.returncode in (0, 141) and done.stderr == "" and done.stdout.count("\n") == 1


def test_ctrl_c(files: Files, tmp_path: Path) -> None:
    """SIGINT in the middle of work: exit code 130 and nothing to read."""
    script = (
        "import signal, sys, intsim.model\n"
        "intsim.model.load = lambda *_: signal.raise_signal(signal.SIGINT)\n"  # in this thread, at once
        "from intsim.cli import main\n"
        "main(sys.argv[1:])"
    )
    done = subprocess.run([sys.executable, "-c", script, "inspect", files.model], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr.strip()) == (130, "", "")


@pytest.mark.parametrize("command", ["", *intsim.cli.COMMANDS])
def test_every_help_states_the_exit_codes(cli: Cli, command: str) -> None:
    text = " ".join(cli(*filter(None, [command]), "--help").out.split())
    assert "0 equal, or done. 1 a mismatch." in text and "130 interrupted" in text and "141 the reader" in text
