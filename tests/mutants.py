"""Mutants: plausible mistakes that are planted into functions of imported modules, to see that a test catches them.

A mistake is written as Python, `old` and what stands there instead. It is found by its structure, wherever it stands
and however it is laid out: an expression, statements that follow each other, or one `key: value` of a dict.
"""

from __future__ import annotations

import ast
import copy
import functools
import inspect
import sys
import textwrap
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any

import pytest
from numba.core.extending import _Intrinsic
from numba.extending import intrinsic

Function = Callable[..., Any]


def plant(monkeypatch: pytest.MonkeyPatch, module: ModuleType, old: str, new: str) -> None:
    """Plant the mistake in each function and method of a module that has `old`, for all who imported that function.

    Errors: AssertionError where no function of the module has it.
    """
    package = module.__name__.partition(".")[0]
    found = 0
    for kind in [v for v in vars(module).values() if inspect.isclass(v) and v.__module__ == module.__name__]:
        for name, method in [(n, v) for n, v in vars(kind).items() if _written(v)]:
            if (wrong := planted(method, old, new)) is not None:
                found += 1
                monkeypatch.setattr(kind, name, wrong)
    for name, function in [(n, v) for n, v in vars(module).items() if _defined_in(v, module)]:
        if hasattr(function, "cache_clear"):  # what is compiled is not kept, before and after
            monkeypatch.setattr(module, name, functools.cache(inspect.unwrap(function)))
    for function in [v for v in vars(module).values() if _defined_in(v, module)]:
        if (wrong := planted(function, old, new)) is None:
            continue
        found += 1
        if isinstance(function, _Intrinsic):
            wrong = intrinsic(prefer_literal=True)(wrong)
        for other in [m for n, m in sys.modules.items() if n.partition(".")[0] == package]:
            for name in [n for n, v in vars(other).items() if v is function]:
                monkeypatch.setattr(other, name, wrong)
    assert found, f"{module.__name__} has no {old!r}"


def planted(function: Function, old: str, new: str) -> Function | None:
    """The function with the mistake, undecorated, in the same module; None where it does not have `old`."""
    plain = inspect.unwrap(function)
    assert isinstance(plain, FunctionType)
    tree = ast.parse(textwrap.dedent(inspect.getsource(plain)))
    definition = tree.body[0]
    assert isinstance(definition, ast.FunctionDef)
    definition.decorator_list = []
    mistake = _Mistake(old, new)
    tree = ast.fix_missing_locations(mistake.visit(tree))
    if not mistake.count:
        return None
    made: dict[str, Any] = {}
    exec(compile(tree, plain.__code__.co_filename, "exec", dont_inherit=True), plain.__globals__, made)  # noqa: S102
    wrong: Function = made[definition.name]
    return wrong


def _written(value: Any) -> bool:
    """Whether it is a function of a file; what a dataclass makes is none."""
    return isinstance(value, FunctionType) and not inspect.unwrap(value).__code__.co_filename.startswith("<")


def _defined_in(value: Any, module: ModuleType) -> bool:
    plain = inspect.unwrap(value) if callable(value) else value
    return isinstance(plain, FunctionType) and plain.__module__ == module.__name__


class _Mistake(ast.NodeTransformer):
    """Replaces what has the structure of `old`; count: how often."""

    def __init__(self, old: str, new: str) -> None:
        self.count = 0
        self.expression: ast.expr | None = None
        self.pair: tuple[str, str] | None = None
        self.statements: list[str] = []
        try:
            self.expression = ast.parse(old.strip(), mode="eval").body
            self.new: Any = ast.parse(new.strip(), mode="eval").body
        except SyntaxError:
            try:
                entry, other = (ast.parse(f"{{{text}}}", mode="eval").body for text in (old, new))
                assert isinstance(entry, ast.Dict) and isinstance(other, ast.Dict)
                key = entry.keys[0]
                assert key is not None
                self.pair, self.new = (_shape(key), _shape(entry.values[0])), other.values[0]
            except SyntaxError:
                body, self.new = (ast.parse(textwrap.dedent(text)).body for text in (old, new))
                self.statements = [_shape(statement) for statement in body]

    def visit(self, node: ast.AST) -> Any:
        node = super().generic_visit(node)
        if self.expression is not None and isinstance(node, ast.expr) and _shape(node) == _shape(self.expression):
            self.count += 1
            return copy.deepcopy(self.new)
        if self.pair is not None and isinstance(node, ast.Dict):
            for i, (key, value) in enumerate(zip(node.keys, node.values, strict=True)):
                if key is not None and (_shape(key), _shape(value)) == self.pair:
                    self.count += 1
                    node.values[i] = copy.deepcopy(self.new)
        for field in ("body", "orelse") if self.statements else ():
            block = getattr(node, field, None)
            if isinstance(block, list):
                self._in_block(block)
        return node

    def _in_block(self, block: list[ast.stmt]) -> None:
        length = len(self.statements)
        for i in range(len(block) - length + 1):
            if [_shape(statement) for statement in block[i : i + length]] == self.statements:
                self.count += 1
                block[i : i + length] = copy.deepcopy(self.new) or [ast.Pass()]


def _shape(node: ast.AST) -> str:
    """What tells a piece of code from others, wherever it stands; whether it is read or written makes no difference."""
    return ast.dump(node).replace("ctx=Store()", "ctx=Load()")
