from __future__ import annotations

import copy
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import intsim
from intsim.errors import AccumulatorOverflow, MalformedGraph, OutOfDomain, UnusableInput
from intsim.formats import Format
from intsim.graph import Graph, Value
from intsim.kernels.packed.isa import available
from intsim.model import Model, auto_target
from intsim.run.result import Result
from intsim.taps.tap import TAPS
from intsim.target import TARGETS, Target
from tests.networks import random_codes, residual_graph

Array = np.ndarray[Any, Any]

DIFFQUANT = TARGETS["diffquant"]


def images(count: int, seed: int = 0, size: int = 8) -> Array:
    return np.random.default_rng(seed).normal(0, 4, (count, 3, size, size)).astype(np.float32)


def assert_equal(a: Result, b: Result) -> None:
    """Two results with equal outputs and equal taps, down to dtypes."""
    for name, output in a.outputs.items():
        assert output.values.dtype == b.outputs[name].values.dtype
        assert np.array_equal(output.values, b.outputs[name].values)
    assert list(a.taps) == list(b.taps)
    for name, tap in a.taps.items():
        for kind in TAPS:
            ours, theirs = getattr(tap, kind), getattr(b.taps[name], kind)
            if isinstance(ours, np.ndarray):
                assert ours.dtype == theirs.dtype
                assert np.array_equal(ours, theirs), (name, kind)
            elif kind == "overflow" and ours is not None:
                assert (ours.count, ours.first, ours.value) == (theirs.count, theirs.first, theirs.value), name
                assert np.array_equal(ours.by_channel, theirs.by_channel)
            else:
                assert ours == theirs, (name, kind)
    assert (a.images, a.overflows) == (b.images, b.overflows)


@pytest.mark.nojit
@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
@pytest.mark.parametrize("accumulator_bits", [None, 13])
def test_both_engines_give_the_same_taps(overflow: str, accumulator_bits: int | None) -> None:
    target = replace(DIFFQUANT, overflow=overflow, accumulator_bits=accumulator_bits)
    model = Model(residual_graph(size=4), target)
    x = images(9, size=4)
    kernels = model.run(x, taps=[*TAPS, "codes@*#*"], threads=2)
    assert_equal(kernels, model.run(x, taps=[*TAPS, "codes@*#*"], engine="spec"))
    assert bool(kernels.overflows) == (accumulator_bits == 13)


def test_onnxruntime_target_both_engines_agree() -> None:
    model = Model(residual_graph(scale=0.7), TARGETS["onnxruntime"])
    x = images(5)
    assert_equal(model.run(x, taps=["codes"]), model.run(x, taps=["codes"], engine="spec"))


def test_the_result() -> None:
    result = Model(residual_graph(), DIFFQUANT).run(images(3), taps=["codes", "accumulator", "histogram"])
    logits = result.outputs["logits"]
    assert logits.codes is not None and logits.codes.dtype == np.int8 and logits.codes.shape == (3, 5)
    assert logits.format == Format(8, scale=(0.125,))
    assert logits.real.dtype == np.float32
    assert np.array_equal(logits.real, logits.codes * np.float32(0.125))
    assert result.images == 3
    histogram = result.taps["conv1"].histogram
    assert histogram is not None and histogram.sum() == 3 * 4 * 64
    assert result.taps["conv1"] is result.taps["y1"]


def test_codes_and_reals_agree() -> None:
    model = Model(residual_graph(), DIFFQUANT)
    codes = random_codes(1, (4, 3, 8, 8))
    assert_equal(model.run(codes), model.run(codes * np.float32(1 / 16)))


def test_an_input_that_takes_codes_takes_reals_too() -> None:
    graph = residual_graph()
    values = {n: v for n, v in graph.values.items() if n != "image"}
    coded = replace(graph, inputs=("x",), nodes=graph.nodes[1:], values=values)
    x = images(5)
    # the MAX7800x has no such biases
    for target in (t for name, t in TARGETS.items() if name != "max7800x"):
        expected = Model(graph, target).run(x)
        assert_equal(Model(coded, target).run(x), expected)
        assert_equal(Model(coded, target).run(x, engine="spec"), expected)
    with pytest.raises(OutOfDomain, match="code 200"):
        Model(coded, DIFFQUANT).run(np.full((1, 3, 8, 8), 200))


def test_override_works_in_both_engines() -> None:
    model = Model(residual_graph(), DIFFQUANT)
    x, codes = images(9), random_codes(2, (9, 4, 4, 4))
    results = [model.run(x, taps=["codes"], engine=engine, override={"p1": codes}) for engine in ("kernels", "spec")]
    assert_equal(*results)
    plain = model.run(x, taps=["codes"])
    changed = {n for n, tap in plain.taps.items() if not np.array_equal(tap.codes, results[0].taps[n].codes)}  # type: ignore[arg-type]
    assert {"y2", "sum"} <= changed and not changed & {"x", "y1", "p1"}


def test_override_of_a_wrong_shape() -> None:
    with pytest.raises(UnusableInput, match=r"override of 'p1': expected \[N, 4, 4, 4\], got shape \[9, 4, 4, 3\]"):
        Model(residual_graph(), DIFFQUANT).run(images(9), override={"p1": np.zeros((9, 4, 4, 3), np.int8)})


def test_trap_in_both_engines() -> None:
    model = Model(residual_graph(size=4), replace(DIFFQUANT, overflow="trap", accumulator_bits=16))
    x = np.zeros((6, 3, 4, 4), np.float32)
    x[5] = images(1, size=4) * 10
    with pytest.raises(AccumulatorOverflow, match=r"node 'conv1': the sum -?\d+ at \(5, \d, \d, \d\)"):
        model.run(x)
    with pytest.raises(AccumulatorOverflow, match=r"node 'conv1' \(conv\).* at \(1, .*counted from number 4 on"):
        model.run(x, engine="spec")


@pytest.mark.parametrize(("engine", "done"), [("kernels", [16, 17]), ("spec", [4, 8, 12, 16, 17])])
def test_progress_counts_images(engine: str, done: list[int]) -> None:
    seen: list[tuple[int, int]] = []
    Model(residual_graph(size=2), DIFFQUANT).run(
        images(17, size=2), engine=engine, progress=lambda *counts: seen.append(counts)
    )
    assert seen == [(count, 17) for count in done]


def test_a_fixed_batch() -> None:
    x = images(6)
    fixed, free = (Model(residual_graph(batch=batch), DIFFQUANT) for batch in (2, None))
    assert (fixed.batch, free.batch) == (2, None)
    assert_equal(fixed.run(x, taps=["codes"]), free.run(x, taps=["codes"]))
    with pytest.raises(UnusableInput, match=r"expected shape \[2\*N, 3, 8, 8\]"):
        fixed.run(images(3))


def test_unknown_engine() -> None:
    with pytest.raises(UnusableInput, match="engine must be one of kernels, spec, not 'gpu'"):
        Model(residual_graph(), DIFFQUANT).run(images(1), engine="gpu")


def formats(graph: Graph, **changes: Format) -> Graph:
    values = {**graph.values, **{n: replace(graph.values[n], format=f) for n, f in changes.items()}}
    return replace(graph, values=values)


@pytest.mark.parametrize(
    ("graph", "name"),
    [
        (residual_graph(), "diffquant"),
        (residual_graph(scale=0.7), "onnxruntime"),
        (formats(residual_graph(), mean=Format(8, False, scale=(0.5,), zero_point=(3,))), "diffquant"),
        (formats(residual_graph(), w1=Format(8, scale=(0.5, 0.25, 0.3, 0.5), axis=0)), "onnxruntime"),
        (replace(residual_graph(), metadata={"intsim.target": "onnxruntime"}), "onnxruntime"),
        (replace(residual_graph(scale=0.7), metadata={"intsim.target": "diffquant"}), "diffquant"),
    ],
)
def test_auto_target(graph: Graph, name: str) -> None:
    assert auto_target(graph) is TARGETS[name]


@pytest.mark.parametrize("name", ["/etc/target.toml", "nothing", ""])
def test_a_file_may_only_name_a_known_target(name: str) -> None:
    with pytest.raises(UnusableInput, match="the model's metadata names the target"):
        auto_target(replace(residual_graph(), metadata={"intsim.target": name}))


def test_with_formats_shares_what_did_not_change(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model(residual_graph(), DIFFQUANT)
    _ = model.plan
    other = model.with_formats({"fc": {"bits": 4}})
    assert other.graph.constants["w1"] is model.graph.constants["w1"]
    for name in ("y1#accumulator", "y2#accumulator"):
        assert other.bounds[name] is model.bounds[name]
    assert other.bounds["logits_q#accumulator"] != model.bounds["logits_q#accumulator"]
    x = images(4)
    assert_equal(other.run(x, taps=["codes"]), other.run(x, taps=["codes"], engine="spec"))
    logits = other.run(x).outputs["logits"]
    assert logits.format == Format(4, scale=(2.0,))
    assert logits.codes is not None and logits.codes.min() >= -8 and logits.codes.max() <= 7


@pytest.mark.parametrize("bits", [2, 4, 6, 12, 16])
def test_every_width_runs_the_same_in_both_engines(bits: int) -> None:
    model = Model(residual_graph(), DIFFQUANT)
    other = model.with_formats({name: {"bits": bits} for name in ("conv1", "conv2", "add", "fc")})
    x = images(3)
    assert_equal(other.run(x, taps=["codes", "saturation"]), other.run(x, taps=["codes", "saturation"], engine="spec"))


def test_widening_all_keeps_the_reals_of_the_weights_exact() -> None:
    """With wider weights but the same activations nothing changes: the products are the same reals."""
    model = Model(residual_graph(), DIFFQUANT)
    x = images(3)
    wide = model.with_formats({"w1": {"bits": 16}, "w2": {"bits": 12}, "w3": {"bits": 9}})
    assert_equal(model.run(x, taps=["codes"]), wide.run(x, taps=["codes"]))


def test_with_target() -> None:
    model = Model(residual_graph(), DIFFQUANT)
    other = model.with_target(replace(DIFFQUANT, rounding="floor"))
    x = images(8)
    a, b = model.run(x, taps=["codes"]), other.run(x, taps=["codes"])
    assert not np.array_equal(a.taps["y1"].codes, b.taps["y1"].codes)  # type: ignore[arg-type]
    assert model.with_target("onnxruntime").target is TARGETS["onnxruntime"]
    with pytest.raises(UnusableInput, match="unknown target"):
        model.with_target("tpu")


def test_a_model_without_quantized_values_is_refused() -> None:
    graph = Graph("real", ("x",), ("x",), (), {"x": Value("x", (None, 2), None)}, {}, 21)
    with pytest.raises(intsim.IntsimError, match="has no quantized tensor"):
        Model(graph, DIFFQUANT)


def qdq_model(scale: float = 0.25, metadata: dict[str, str] | None = None) -> onnx.ModelProto:
    """y = Relu(x * w) at int8 codes of one scale, as a QDQ file."""
    initializers = [
        numpy_helper.from_array(np.array(scale, np.float32), "s"),
        numpy_helper.from_array(np.array(0, np.int8), "z"),
        numpy_helper.from_array(np.array([[1, -2], [3, 4]], np.int8), "w"),
    ]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["x_q"]),
        helper.make_node("DequantizeLinear", ["x_q", "s", "z"], ["x_d"]),
        helper.make_node("DequantizeLinear", ["w", "s", "z"], ["w_d"]),
        helper.make_node("MatMul", ["x_d", "w_d"], ["t"], name="fc"),
        helper.make_node("QuantizeLinear", ["t", "s", "z"], ["y_q"]),
        helper.make_node("DequantizeLinear", ["y_q", "s", "z"], ["y"]),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "fc",
        [value("x", TensorProto.FLOAT, ["batch", 2])],
        [value("y", TensorProto.FLOAT, ["batch", 2])],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    helper.set_model_props(model, metadata or {})
    return model


@pytest.mark.parametrize("form", ["proto", "bytes", "path", "text"])
def test_load_takes_paths_bytes_and_protos(form: str, tmp_path: Any) -> None:
    proto = qdq_model()
    path = tmp_path / "fc.onnx"
    onnx.save(proto, path)
    source = {"proto": proto, "bytes": proto.SerializeToString(), "path": path, "text": str(path)}[form]
    model = intsim.load(source)
    assert model.target.name == "diffquant"
    # (1.0, 0.5) * [[.25, -.5], [.75, 1.]] = (0.625, 0.0); 0.625 / 0.25 = 2.5 -> 3 (half_up)
    result = model.run(np.array([[1.0, 0.5]]))
    assert result.outputs["y"].codes is not None and result.outputs["y"].codes.tolist() == [[3, 0]]
    half_even = intsim.load(source, target="onnxruntime").run(np.array([[1.0, 0.5]]))
    assert half_even.outputs["y"].codes is not None and half_even.outputs["y"].codes.tolist() == [[2, 0]]


def test_load_finds_targets(tmp_path: Any) -> None:
    (tmp_path / "mine.toml").write_text('base = "diffquant"\nrounding = "floor"\n')
    model = intsim.load(qdq_model(), target=tmp_path / "mine.toml")
    assert (model.target.name, model.target.rounding) == ("mine", "floor")
    assert intsim.load(qdq_model(), target=Target("own")).target.name == "own"
    assert intsim.load(qdq_model(0.3)).target.name == "onnxruntime"
    assert intsim.load(qdq_model(metadata={"intsim.target": "onnxruntime"})).target.name == "onnxruntime"
    with pytest.raises(UnusableInput, match="unknown target 'gpu'"):
        intsim.load(qdq_model(), target="gpu")
    with pytest.raises(MalformedGraph):
        intsim.load(b"no model")


def test_loading_a_model_leaves_the_kernels_alone() -> None:
    """Numba is imported at the first run, not before."""
    child = "import sys, intsim, intsim.model; assert 'numba' not in sys.modules, 'numba'"
    subprocess.run([sys.executable, "-c", child], check=True)


def test_an_instruction_set_can_be_chosen() -> None:
    model = Model(residual_graph(), DIFFQUANT)
    x = images(2)
    results = [model.run(x, isa=isa).outputs["logits"].codes for isa in (None, *available())]
    assert all(np.array_equal(result, results[0]) for result in results)  # type: ignore[arg-type]
    with pytest.raises(UnusableInput, match="isa must be one of avx512vnni, avxvnni, avx2, portable, not 'sse'"):
        model.run(x, isa="sse")


def test_the_environment_chooses_an_instruction_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTSIM_ISA", "portable")
    assert "conv" in {choice.kernel for choice in Model(residual_graph(), DIFFQUANT).choices}
    monkeypatch.setenv("INTSIM_ISA", "sse")
    with pytest.raises(UnusableInput, match="INTSIM_ISA must be one of"):
        _ = Model(residual_graph(), DIFFQUANT).choices


@pytest.mark.parametrize("threads", [1, 2])
def test_an_engine_is_kept_but_not_copied(threads: int) -> None:
    model = Model(residual_graph(), TARGETS["diffquant"])
    first = model.run(images(2), threads=threads)
    engine = model._engine(threads)
    assert model._engine(threads) is engine
    assert model._engine(3) is not engine
    assert_equal(model.run(images(2), threads=threads), first)
    copied = copy.deepcopy(model)
    assert copied._engine(threads) is not engine
    assert_equal(copied.run(images(2), threads=threads), first)


def test_runs_at_the_same_time_share_an_engine() -> None:
    model = Model(residual_graph(), TARGETS["diffquant"])
    expected = model.run(images(3), threads=3)
    with ThreadPoolExecutor(4) as users:
        for result in users.map(lambda _: model.run(images(3), threads=3), range(40)):
            assert_equal(result, expected)
