"""Small frozen records: dataclasses whose equality, hash and representation are written once, not once for each class.

To write these three for a class takes longer than everything else about it, and a command imports about a hundred.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, TypeVar, dataclass_transform

C = TypeVar("C", bound=type)


@dataclass_transform(frozen_default=True)
def frozen(cls: C) -> C:
    """A dataclass that is frozen and has slots; equal to another of its class when all compared fields are.

    >>> @frozen
    ... class Step:
    ...     name: str
    ...     number: int = 1
    >>> Step("h") == Step("h", 1), Step("h") == ("h", 1), {Step("h"): 2}[Step("h")], Step("h")
    (True, False, 2, Step(name='h', number=1))
    """
    methods: dict[str, Callable[..., Any]] = {"__eq__": _equal, "__hash__": _hash, "__repr__": _repr}
    for name, method in methods.items():
        if name not in cls.__dict__:
            setattr(cls, name, method)
    made: Any = dataclass(frozen=True, slots=True, eq=False, repr=False)(cls)
    compared = [field for field in fields(made) if field.compare]
    made._compared = _getter([field.name for field in compared])
    made._hashed = _getter([field.name for field in compared if field.hash is not False])
    return made  # type: ignore[no-any-return]


def _getter(names: list[str]) -> Any:
    return attrgetter(*names) if names else staticmethod(lambda record: ())


def _equal(self: Any, other: Any) -> Any:
    if self is other:
        return True
    if other.__class__ is not self.__class__:
        return NotImplemented
    values = self._compared
    return values(self) == values(other)


def _hash(self: Any) -> int:
    return hash(self._hashed(self))


def _repr(self: Any) -> str:
    shown = ", ".join(f"{field.name}={getattr(self, field.name)!r}" for field in fields(self) if field.repr)
    return f"{self.__class__.__qualname__}({shown})"
