"""A module taken apart by torch.export: the float graph that is quantized, its names those of the user's modules.

A node is called after the module that computes it (`layer1.0.conv1`), or, where a module's own `forward` does, after
that module and the function (`layer1.0.add`). Its output has its name. Constants are called as in the state dict.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from intsim.errors import UnsupportedOp, UnusableInput
from intsim.importers.onnx.onnx_node import OnnxNode
from intsim.quantization.float_graph import FloatGraph, first_line, free_name
from intsim.training.aten import TRANSLATIONS, Call

Array = np.ndarray[Any, Any]

OPSET = 18
"""The oldest opset with all that is made here; what is written has a newer one where the widths need it."""


@dataclass(frozen=True)
class Traced:
    """A float graph, and how to compute its values by PyTorch.

    graph: as exported, nothing folded. program: computes it, in the order of the graph's nodes. values: the program's
    node of each of the graph's values.
    """

    graph: FloatGraph
    program: fx.GraphModule
    values: Mapping[str, fx.Node]

    def run(self, x: Tensor, names: Sequence[str]) -> dict[str, Array]:
        """The reals of these values for a batch, float32."""
        wanted = {self.values[name]: name for name in names}
        found: dict[str, Array] = {}

        class Observer(fx.Interpreter):
            def run_node(self, n: fx.Node) -> Any:
                made = super().run_node(n)
                if n in wanted:
                    found[wanted[n]] = made.detach().cpu().numpy().copy()
                return made

        with torch.no_grad():
            Observer(self.program).run(x)
        return found


def trace(module: nn.Module, example: Tensor) -> Traced:
    """The Traced form of a module in evaluation mode, for inputs like `example` with any number of images.

    example: f32[N, …]. Errors: UnsupportedOp names module and op that cannot be converted, or says why torch.export
    cannot; UnusableInput for a module of several inputs or with weights that are not finite.
    """
    program = _exported(module, example)
    return _Walk(module, program).finish()


def _exported(module: nn.Module, example: Tensor) -> torch.export.ExportedProgram:
    # Of one image, the exporter would take the 1 for a constant.
    example = torch.cat([example, example])[:2]
    training = module.training
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            shapes = ({0: torch.export.Dim.AUTO},)
            # Without a table of decompositions this makes functions of operations in place, and nothing else.
            return torch.export.export(module.eval(), (example,), dynamic_shapes=shapes).run_decompositions({})
    except Exception as error:
        raise UnsupportedOp(
            f"{type(module).__name__}: torch.export cannot follow it: {first_line(error)[:300]}; write its forward "
            f"without control flow that depends on data"
        ) from error
    finally:
        logging.disable(before)
        module.train(training)


class _Walk:
    """From the exported program to the float graph, node by node."""

    def __init__(self, module: nn.Module, program: torch.export.ExportedProgram) -> None:
        self.module = module
        self.exported = program
        self.program = program.module(check_guards=False)
        signature = program.graph_signature
        if len(signature.user_inputs) != 1:
            raise UnusableInput(
                f"{type(module).__name__}: has {len(signature.user_inputs)} inputs; one, a batch, is supported"
            )
        self.constants = {
            **{n: program.state_dict[t] for n, t in signature.inputs_to_parameters.items()},
            **{n: _buffer(program, t) for n, t in signature.inputs_to_buffers.items()},
            **{n: program.constants[t] for n, t in signature.inputs_to_lifted_tensor_constants.items()},
        }
        self.state_names: dict[str, str] = {
            **signature.inputs_to_parameters,
            **signature.inputs_to_buffers,
            **signature.inputs_to_lifted_tensor_constants,
        }
        [name] = signature.user_inputs
        self.input = str(name)
        self.names: dict[fx.Node, str] = {}  # program node -> value of the graph
        self.taken: set[str] = {self.input, *self.state_names.values()}
        self.nodes: list[OnnxNode] = []
        self.arrays: dict[str, Array] = {}

    def finish(self) -> Traced:
        outputs: list[str] = []
        shape: tuple[Any, ...] = ()
        for node in self.exported.graph.nodes:
            if node.op == "placeholder":
                shape = self._placeholder(node, shape)
            elif node.op == "output":
                outputs = [self._output(value) for value in node.args[0]]
            elif node.op == "call_function" and str(node.target) != "aten.sym_size.int":
                self._call(node)
        graph = FloatGraph(
            type(self.module).__name__, OPSET, self.input, shape, tuple(outputs), self.nodes, self.arrays
        )
        return Traced(graph, self.program, self._values())

    def _placeholder(self, node: fx.Node, shape: tuple[Any, ...]) -> tuple[Any, ...]:
        if node.name in self.state_names:
            name = self.state_names[node.name]
            self.names[node] = name
            value = self.constants[node.name].detach().cpu()
            if value.is_floating_point():
                if not bool(torch.isfinite(value).all()):
                    raise UnusableInput(f"{name}: holds NaN or infinity; weights must be finite")
                value = value.to(torch.float32)
            self.arrays[name] = value.contiguous().numpy().copy()
            return shape
        self.names[node] = self.input
        return tuple(n if isinstance(n, int) else "batch" for n in node.meta["val"].shape)

    def _output(self, value: Any) -> str:
        if not isinstance(value, fx.Node) or value not in self.names:
            raise UnsupportedOp(f"{type(self.module).__name__}: it must return tensors that it computes, or one tensor")
        return self.names[value]

    def _call(self, node: fx.Node) -> None:
        target = str(node.target)
        if target == "<built-in function getitem>":
            source, index = node.args
            assert isinstance(source, fx.Node)
            if index == 0:
                self.names[node] = self.names[source]
            return
        path, kind = _where(node)
        op = target.removeprefix("aten.")
        translate = TRANSLATIONS.get(op)
        call = Call(node, path or type(self.module).__name__, op, self.names, self.arrays, self.taken)
        if translate is None:
            raise call.unsupported(f"cannot be converted; supported: {', '.join(sorted(TRANSLATIONS))}")
        wanted = path if kind.startswith("torch.nn.modules.") and path else f"{path}.{op.split('.')[0]}".lstrip(".")
        made = translate(call)
        if isinstance(made, str):
            self.names[node] = made
            return
        op_name, inputs, attributes = made
        name = free_name(wanted, self.taken)
        self.taken.add(name)
        self.names[node] = name
        self.nodes.append(OnnxNode(name, op_name, "", tuple(inputs), (name,), attributes, {}))

    def _values(self) -> dict[str, fx.Node]:
        """The nodes of the callable program, which has the exported graph's names but for the constants."""
        known = {node.name: node for node in self.program.graph.nodes}
        return {value: known[node.name] for node, value in self.names.items() if node.name in known}


def _where(node: fx.Node) -> tuple[str, str]:
    """The path of the module that computes a node, and its type."""
    stack = node.meta.get("nn_module_stack") or {}
    path, kind = list(stack.values())[-1] if stack else ("", "")
    return str(path), str(kind)


def _buffer(program: torch.export.ExportedProgram, name: str) -> Tensor:
    found = program.state_dict.get(name)
    return program.constants[name] if found is None else found
