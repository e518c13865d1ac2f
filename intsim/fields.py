"""Fields: what a table from a JSON or TOML file holds, each value judged by its kind and range before it is used."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from intsim.errors import UnusableInput, shown

LARGEST_INTEGER = 2**63 - 1


@dataclass(frozen=True)
class Fields:
    """A table's values by name; where: how messages call the table, "" for none.

    Each method returns the value of that name. Errors: UnusableInput where it is missing or of another kind. A bool is
    no integer and no number, an infinity and NaN are no numbers.
    """

    data: Mapping[str, Any]
    where: str = ""

    @classmethod
    def of(cls, value: Any, where: str = "") -> Fields:
        """The Fields of a value that must be a table."""
        if not isinstance(value, Mapping):
            raise UnusableInput(f"{where} must be a table of entries, not {shown(value)}")
        return cls(value, where)

    def __contains__(self, name: str) -> bool:
        return self.data.get(name) is not None

    def tables(self) -> Iterator[tuple[str, Fields]]:
        """All entries, each of which must be a table."""
        for name in self.data:
            yield name, self.table(name)

    def table(self, name: str) -> Fields:
        """A table."""
        return Fields.of(self._value(name), self._called(name))

    def text(self, name: str) -> str:
        """A string."""
        value = self._value(name)
        if not isinstance(value, str):
            raise self._error(name, "a string", value)
        return value

    def flag(self, name: str) -> bool:
        """True or false."""
        value = self._value(name)
        if not isinstance(value, bool):
            raise self._error(name, "true or false", value)
        return value

    def integer(self, name: str, low: int, high: int = LARGEST_INTEGER) -> int:
        """An integer from low to high."""
        return self._integer(name, self._value(name), low, high)

    def integers(self, name: str, low: int, high: int = LARGEST_INTEGER) -> tuple[int, ...]:
        """A list of integers from low to high."""
        return tuple(self._integer(name, value, low, high) for value in self._list(name))

    def numbers(self, name: str, low: float, high: float) -> tuple[float, ...]:
        """A list of finite numbers from low to high."""
        values = self._list(name)
        for value in values:
            real = isinstance(value, int | float) and not isinstance(value, bool)
            if not real or not low <= value <= high or not math.isfinite(value):
                raise self._error(name, f"numbers from {low:.6g} to {high:.6g}", value)
        return tuple(float(value) for value in values)

    def _list(self, name: str) -> list[Any]:
        value = self._value(name)
        if not isinstance(value, list):
            raise self._error(name, "a list", value)
        return value

    def _integer(self, name: str, value: Any, low: int, high: int) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._error(name, "an integer", value)
        if not low <= value <= high:
            raise self._error(name, f"{low} to {high}", value)
        return value

    def _value(self, name: str) -> Any:
        if name not in self.data:
            raise UnusableInput(f"{self._called(name)} is missing")
        return self.data[name]

    def _called(self, name: str) -> str:
        called = name if name.isidentifier() else shown(name)
        return f"{self.where}: {called}" if self.where else called

    def _error(self, name: str, wanted: str, value: Any) -> UnusableInput:
        return UnusableInput(f"{self._called(name)} must be {wanted}, not {shown(value)}")
