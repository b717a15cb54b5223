"""Small frozen records: dataclasses whose equality, hash and representation are written once, not once for each class.

To write these three for a class takes longer than everything else about it, and a command imports about a hundred.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, TypeVar, dataclass_transform

C = TypeVar("C", bound=type)


@dataclass_transform(frozen_default=True)
def frozen(cls: C) -> C:
    """A dataclass that is frozen and has slots; equal to another of its class when all fields are.

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
    made._values = attrgetter(*made.__match_args__) if made.__match_args__ else staticmethod(_nothing)
    return made  # type: ignore[no-any-return]


def _nothing(record: object) -> tuple[()]:
    return ()


def _equal(self: Any, other: Any) -> Any:
    if self is other:
        return True
    if other.__class__ is not self.__class__:
        return NotImplemented
    values = self._values
    return values(self) == values(other)


def _hash(self: Any) -> int:
    return hash(self._values(self))


def _repr(self: Any) -> str:
    fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__match_args__)
    return f"{self.__class__.__qualname__}({fields})"
