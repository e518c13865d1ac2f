"""ONNX Runtime judges the target `onnxruntime` on one-op models with adversarial scales: every code, tolerance zero.

Scales whose quotients are halves and quarters make ties by construction; zero points are odd, even and at both ends;
the scales of ORDER give another float32 multiplier when they are multiplied and divided in another order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

import intsim
from intsim import spec
from tests.targets.test_onnx_reference_lowered import model

runtime = pytest.importorskip("onnxruntime")

Array = np.ndarray[Any, Any]
MICROSOFT = "com.microsoft"
ORDER = (0.03, 0.06, 0.0072)  # (0.03 * 0.06) / 0.0072 is 1/4 in float32, in the other orders it is a little less
SCALES = [(0.5, 0.5, 0.5), (0.25, 0.5, 1.0), (0.5, 0.125, 2.0), (0.1, 0.02, 0.3), ORDER]
ZEROS = [(0, 0), (3, 7), (128, 131), (255, 1), (17, 254)]
TYPES = [(np.uint8, TensorProto.UINT8, 0), (np.int8, TensorProto.INT8, 128)]


def judged(proto: ModelProto, *xs: Array) -> tuple[Array, Array]:
    """What intsim (kernels and spec alike) and ONNX Runtime make of the inputs."""
    proto.opset_import.append(helper.make_opsetid(MICROSOFT, 1))
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    session = runtime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feed = dict(zip([value.name for value in proto.graph.input], xs, strict=True))
    ours = intsim.load(proto, "onnxruntime")
    assert all(layer.exact for layer in ours.lowered.layers)
    result, by_spec = (ours.run(feed, engine=engine).outputs["y"].values for engine in ("kernels", "spec"))
    assert np.array_equal(result, by_spec)
    return result, np.asarray(session.run(None, feed)[0])


def codes(rng: np.random.Generator, dtype: Any, *shape: int) -> Array:
    """Codes over the whole range, and in a second half of the batch small ones, of which many sums are ties."""
    info = np.iinfo(dtype)
    x = rng.integers(info.min, info.max, shape, endpoint=True)
    x[len(x) // 2 :] //= 16
    return x.astype(dtype)


def test_the_order_of_the_scales_matters() -> None:
    """In this order every second odd sum over 4 is a tie, in the others it is none."""
    x, w, y = map(np.float32, ORDER)
    assert [float(m) for m in ((x * w) / y, x * (w / y), (x / y) * w)] == [0.25, 0.2499999850988388, 0.2499999850988388]
    given: dict[str, Any] = {"bits": 8, "signed": True}
    acc = np.arange(-500, 500).reshape(1, -1)
    right, wrong = (spec.requantize_float32(acc, multiplier=m, **given) for m in ((x * w) / y, x * (w / y)))
    assert (right != wrong).any()


@pytest.mark.parametrize("scales", SCALES)
@pytest.mark.parametrize("zeros", ZEROS)
@pytest.mark.parametrize(("dtype", "kind", "less"), TYPES)
@pytest.mark.parametrize("channels", [False, True])
def test_qlinearconv(
    scales: tuple[float, ...], zeros: tuple[int, int], dtype: Any, kind: int, less: int, channels: bool
) -> None:
    rng = np.random.default_rng(1)
    constants = {
        "xs": np.float32(scales[0]),
        "xz": dtype(zeros[0] - less),
        "w": rng.integers(-5, 6, (3, 2, 3, 3)).astype(np.int8),
        "ws": np.array([scales[1], scales[1] / 2, 0.0371], np.float32) if channels else np.float32(scales[1]),
        "wz": np.zeros(3, np.int8) if channels else np.int8(0),
        "ys": np.float32(scales[2]),
        "yz": dtype(zeros[1] - less),
        "b": rng.integers(-50, 50, 3).astype(np.int32),
    }
    node = helper.make_node("QLinearConv", ["x", *constants], ["y"], pads=[1, 1, 1, 1], kernel_shape=[3, 3])
    proto = model([node], constants, (kind, [None, 2, 9, 9]), (kind, [None, 3, 9, 9]))
    result, expected = judged(proto, codes(rng, dtype, 4, 2, 9, 9))
    assert np.array_equal(result, expected)


@pytest.mark.parametrize("scales", SCALES)
@pytest.mark.parametrize("zeros", ZEROS)
@pytest.mark.parametrize(("dtype", "kind", "less"), TYPES)
def test_qlinearmatmul(scales: tuple[float, ...], zeros: tuple[int, int], dtype: Any, kind: int, less: int) -> None:
    rng = np.random.default_rng(2)
    constants = {
        "xs": np.float32(scales[0]),
        "xz": dtype(zeros[0] - less),
        "w": rng.integers(-5, 6, (12, 10)).astype(np.int8),
        "ws": np.float32(scales[1]),
        "wz": np.int8(0),
        "ys": np.float32(scales[2]),
        "yz": dtype(zeros[1] - less),
    }
    node = helper.make_node("QLinearMatMul", ["x", *constants], ["y"])
    proto = model([node], constants, (kind, [None, 12]), (kind, [None, 10]))
    result, expected = judged(proto, codes(rng, dtype, 400, 12))
    assert np.array_equal(result, expected)


@pytest.mark.parametrize("scales", [*SCALES, (0.5, 0.25, 0.5), (0.003, 0.7, 0.013)])
@pytest.mark.parametrize("zeros", ZEROS)
@pytest.mark.parametrize(("dtype", "kind", "less"), TYPES)
def test_qlinearadd_of_every_pair_of_codes(
    scales: tuple[float, ...], zeros: tuple[int, int], dtype: Any, kind: int, less: int
) -> None:
    constants = {
        "as": np.float32(scales[0]),
        "az": dtype(zeros[0] - less),
        "bs": np.float32(scales[1]),
        "bz": dtype(255 - zeros[0] - less),
        "cs": np.float32(scales[2]),
        "cz": dtype(zeros[1] - less),
    }
    operands = ["x", "as", "az", "b", "bs", "bz", "cs", "cz"]
    node = helper.make_node("QLinearAdd", operands, ["y"], domain=MICROSOFT)
    proto = model([node], constants, (kind, [256, 256]), (kind, [256, 256]))
    proto.graph.input.append(helper.make_tensor_value_info("b", kind, [256, 256]))
    line = np.arange(np.iinfo(dtype).min, np.iinfo(dtype).max + 1).astype(dtype)
    result, expected = judged(proto, np.repeat(line, 256).reshape(256, 256), np.tile(line, (256, 1)))
    assert np.array_equal(result, expected)


@pytest.mark.parametrize("scales", [(0.5, 0.5), (0.5, 0.25), (0.1, 0.07), (0.0213, 0.0091)])
@pytest.mark.parametrize("zeros", ZEROS)
@pytest.mark.parametrize(("dtype", "kind", "less"), TYPES)
@pytest.mark.parametrize("size", [(1, 2), (2, 2), (7, 7), (5, 3)])
def test_qlinearglobalaveragepool(
    scales: tuple[float, float], zeros: tuple[int, int], dtype: Any, kind: int, less: int, size: tuple[int, int]
) -> None:
    """Means of 2, 4 and 49 codes: with quotients of scales that are powers of two they are ties at odd sums."""
    constants = {
        "xs": np.float32(scales[0]),
        "xz": dtype(zeros[0] - less),
        "ys": np.float32(scales[1]),
        "yz": dtype(zeros[1] - less),
    }
    node = helper.make_node("QLinearGlobalAveragePool", ["x", *constants], ["y"], domain=MICROSOFT, channels_last=0)
    proto = model([node], constants, (kind, [300, 3, *size]), (kind, [300, 3, 1, 1]))
    result, expected = judged(proto, codes(np.random.default_rng(4), dtype, 300, 3, *size))
    assert np.array_equal(result, expected)


@pytest.mark.parametrize("zeros", [(0, 0), (3, 5), (255, -128), (128, 127)])
@pytest.mark.parametrize("wrapping", [False, True])
def test_convinteger(zeros: tuple[int, int], wrapping: bool) -> None:
    """Exact sums with both zero points; 33,100 products of 255 * 255 leave int32, and wrap."""
    rng = np.random.default_rng(5)
    depth = 33_100 if wrapping else 3
    x = np.full((1, depth, 1, 1), 255, np.uint8) if wrapping else codes(rng, np.uint8, 2, depth, 8, 8)
    w = np.full((2, depth, 1, 1), 127, np.int8) if wrapping else codes(rng, np.int8, 4, depth, 3, 3)
    if wrapping:
        zeros = (0, -128)
    constants = {"w": w, "xz": np.uint8(zeros[0]), "wz": np.int8(zeros[1])}
    node = helper.make_node("ConvInteger", ["x", *constants], ["y"], kernel_shape=list(w.shape[2:]))
    proto = model(
        [node], constants, (TensorProto.UINT8, list(x.shape)), (TensorProto.INT32, [len(x), len(w), None, None])
    )
    result, expected = judged(proto, x)
    assert np.array_equal(result, expected)
    assert not wrapping or (result < 0).all()
