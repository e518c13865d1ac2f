"""Files and graphs with something random wrong: the same seed gives the same fault."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

from tests.importers.onnx.models import MICROSOFT, NEWEST, ModelWriter, f32, small_cnn

INTEGERS = (0, 1, -1, 2, 3, 7, -2, 100, 2**31 - 1, -(2**31), 2**40, 2**63 - 1, -(2**63))
REALS = (0.0, -1.0, float("nan"), float("inf"), 1e30, 1e-30)


def mutated(data: bytes, seed: int) -> bytes:
    """The file with a few bits flipped, bytes replaced or removed, or its end cut off."""
    rng = random.Random(seed)
    result = bytearray(data)
    kind = rng.random()
    if kind < 0.15:
        return bytes(result[: rng.randrange(len(result))])
    if kind < 0.3:
        start = rng.randrange(len(result))
        del result[start : start + rng.randrange(1, 40)]
    for _ in range(rng.choice([1, 1, 2, 5, 20])):
        result[rng.randrange(len(result))] ^= 1 << rng.randrange(8)
    return bytes(result)


def qoperator_network() -> ModelProto:
    w = ModelWriter(13)
    s, z = w.constant(f32(0.5)), w.constant(3, kind=TensorProto.UINT8)
    x = w.node("QuantizeLinear", w.input("x", ["N", 1, 4, 4]), s, z)
    weights = w.constant(np.ones((2, 1, 3, 3), int), kind=TensorProto.INT8), s, w.constant(0, kind=TensorProto.INT8)
    y = w.node("QLinearConv", x, s, z, *weights, s, z, pads=[1, 1, 1, 1])
    y = w.node("QLinearAdd", y, s, z, x, s, z, s, z, domain=MICROSOFT)
    y = w.node("Reshape", w.node("MaxPool", y, kernel_shape=[2, 2]), w.constant(np.array([0, -1])))
    return w.model(w.node("DequantizeLinear", y, s, z))


def moving_network() -> ModelProto:
    """The ops that move data, shape arithmetic, a split, a float tail."""
    w = ModelWriter(21)
    ints = [w.constant(np.array(v)) for v in ([0], [1], [-1], [0, 0, 1, 0, 0, 0, 0, 1])]
    x = w.quantized(w.input("x", ["N", 2, 5, 4]), 0.5, 3)
    x = w.node("Clip", x, w.constant(f32(-1)))
    x = w.node("Resize", w.node("Pad", x, ints[3], mode="edge"), "", w.constant(f32([1, 1, 2, 2])))
    x = w.node("Slice", w.node("Transpose", x, perm=[0, 2, 3, 1]), ints[0], ints[1], ints[1])
    batch = w.node("Unsqueeze", w.node("Gather", w.node("Shape", x), w.constant(np.array(0))), ints[0])
    x = w.node("Reshape", x, w.node("Concat", batch, ints[2], axis=0))
    x = w.node("Split", x, output="first", axis=1, num_outputs=2)
    w.nodes[-1].output.append("second")
    x = w.quantized(w.node("Add", "first", "second"), 0.25)
    return w.model(w.node("Softmax", w.node("ReduceMean", x, ints[1], keepdims=1), axis=-1))


NETWORKS = (small_cnn, qoperator_network, moving_network)


def changed(make: Callable[[], ModelProto], seed: int) -> ModelProto:
    """A network of which one to three fields make no sense; it parses all the same."""
    model, rng = make(), random.Random(seed)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        rng.choice(CHANGES)(model, rng)
    return model


def tensors(model: ModelProto) -> list[str]:
    made = [o for n in model.graph.node for o in n.output if o]
    return [*made, *(t.name for t in model.graph.initializer), *(i.name for i in model.graph.input), ""]


def any_node(model: ModelProto, rng: random.Random) -> NodeProto:
    return rng.choice(list(model.graph.node))


def any_constant(model: ModelProto, rng: random.Random) -> TensorProto:
    return rng.choice(list(model.graph.initializer))


def values(constant: TensorProto) -> np.ndarray[Any, np.dtype[Any]]:
    """Its values, or one zero where a change before has left none."""
    try:
        return numpy_helper.to_array(constant)
    except (TypeError, ValueError, KeyError):
        return np.zeros(1, np.float32)


def rewire(model: ModelProto, rng: random.Random) -> None:
    node = any_node(model, rng)
    if node.input:
        node.input[rng.randrange(len(node.input))] = rng.choice(tensors(model))


def more_or_fewer_inputs(model: ModelProto, rng: random.Random) -> None:
    node = any_node(model, rng)
    if node.input and rng.random() < 0.5:
        del node.input[rng.randrange(len(node.input))]
    else:
        node.input.append(rng.choice(tensors(model)))


def more_or_fewer_outputs(model: ModelProto, rng: random.Random) -> None:
    node = any_node(model, rng)
    if rng.random() < 0.5:
        del node.output[0]
    else:
        node.output.append(rng.choice(["", "another"]))


def change_attribute(model: ModelProto, rng: random.Random) -> None:
    node = any_node(model, rng)
    if not node.attribute:
        return
    attribute = rng.choice(list(node.attribute))
    if attribute.ints:
        attribute.ints[rng.randrange(len(attribute.ints))] = rng.choice(INTEGERS)
    attribute.i, attribute.f = rng.choice(INTEGERS), rng.choice(REALS)
    attribute.s = rng.choice([b"", b"SAME_UPPER", b"VALID", b"reflect", b"linear", b"\xff"])


def drop_attribute(model: ModelProto, rng: random.Random) -> None:
    node = any_node(model, rng)
    if node.attribute:
        del node.attribute[rng.randrange(len(node.attribute))]


def change_op(model: ModelProto, rng: random.Random) -> None:
    any_node(model, rng).op_type = any_node(model, rng).op_type


def change_domain(model: ModelProto, rng: random.Random) -> None:
    any_node(model, rng).domain = rng.choice(["", MICROSOFT, "ai.onnx", "elsewhere"])


def change_dims(model: ModelProto, rng: random.Random) -> None:
    constant = any_constant(model, rng)
    if constant.dims:
        constant.dims[rng.randrange(len(constant.dims))] = rng.choice(INTEGERS)
    else:
        constant.dims.append(rng.choice(INTEGERS))


def change_rank(model: ModelProto, rng: random.Random) -> None:
    constant = any_constant(model, rng)
    array = values(constant)
    flat = array.reshape(-1)
    other = rng.choice([flat, array[None], flat[:1], flat[:0], array[..., None], np.concatenate([flat, flat])])
    constant.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(other), constant.name))


def change_type(model: ModelProto, rng: random.Random) -> None:
    any_constant(model, rng).data_type = rng.randrange(28)


def change_value(model: ModelProto, rng: random.Random) -> None:
    constant = any_constant(model, rng)
    array = np.array(values(constant))
    if array.size:
        value: Any = rng.choice(REALS) if array.dtype.kind == "f" else rng.choice([0, 1, 2, 3, 100, 127])
        array.reshape(-1)[rng.randrange(array.size)] = value
        constant.CopyFrom(numpy_helper.from_array(array, constant.name))


def change_input(model: ModelProto, rng: random.Random) -> None:
    kind = model.graph.input[0].type.tensor_type
    choice = rng.randrange(4)
    if choice == 0 and kind.shape.dim:
        kind.shape.dim[rng.randrange(len(kind.shape.dim))].dim_value = rng.choice(INTEGERS)
    elif choice == 1 and kind.shape.dim:
        del kind.shape.dim[rng.randrange(len(kind.shape.dim))]
    elif choice == 2:
        kind.shape.dim.add().dim_param = "K"
    else:
        kind.elem_type = rng.randrange(28)


def change_output(model: ModelProto, rng: random.Random) -> None:
    model.graph.output[0].name = rng.choice(tensors(model))


def change_opset(model: ModelProto, rng: random.Random) -> None:
    model.opset_import[0].version = rng.choice([1, 10, 11, 12, 13, 18, 21, NEWEST, NEWEST + 1, 10**9])


CHANGES: tuple[Callable[[ModelProto, random.Random], None], ...] = (
    rewire,
    more_or_fewer_inputs,
    more_or_fewer_outputs,
    change_attribute,
    drop_attribute,
    change_op,
    change_domain,
    change_dims,
    change_rank,
    change_type,
    change_value,
    change_input,
    change_output,
    change_opset,
)
