"""Values of paths and gradients in tables and in JSON: a number with its sign, an array with its norm."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from rnn_symbolic.render.words import number, say
from rnn_symbolic.valuation import Amount

if TYPE_CHECKING:
    from rnn_symbolic.matrix_valuation import MatrixAmount

SMALL = 16
"""Arrays of more entries than this are not written out in a document."""


def as_number(amount: Amount | MatrixAmount) -> Amount | None:
    """The amount of a scalar quantity, in either form; None for an array."""
    if isinstance(amount, Amount):
        return amount
    if amount.value.ndim:
        return None
    value = float(amount.value)
    return Amount(value, amount.log10, (value > 0) - (value < 0))


def amount_text(amount: Amount | MatrixAmount, digits: int = 10) -> str:
    """A number, and where floats lose it the power of ten; of an array the Frobenius norm."""
    scalar = as_number(amount)
    if scalar is None:
        scalar = Amount(math.inf if amount.log10 > 308 else 10.0**amount.log10, amount.log10, 1)
    if math.isfinite(amount.log10) and not 1e-300 < abs(scalar.value) < 1e300:
        sign = "-" if scalar.sign < 0 else ""
        return f"${sign}10^{{{log10_text(amount)}}}$"
    return number(scalar.value, digits)


def log10_text(amount: Amount | MatrixAmount) -> str:
    """The exponent with four decimals, or, where a float has none left, with its digits."""
    if not math.isfinite(amount.log10):
        return str(amount.log10)
    return f"{amount.log10:.4f}" if abs(amount.log10) < 1e9 else f"{amount.log10:.12g}"


def value_column(amount: Amount | MatrixAmount) -> str:
    """What `amount_text` shows, as the key of a column's title."""
    return "norm" if as_number(amount) is None else "value"


def entries_text(amount: Amount | MatrixAmount) -> str | None:
    """A small array written out row by row, with six significant digits; None for a large one or a number."""
    if isinstance(amount, Amount) or not amount.value.ndim or amount.value.size > SMALL or is_lost(amount):
        return None
    return _rows(amount.value.tolist())


def _rows(value: Any) -> str:
    return f"[{', '.join(map(_rows, value))}]" if isinstance(value, list) else number(value, 6)


def largest_text(amount: MatrixAmount, language: str) -> str:
    """The entry of greatest magnitude and its place, counted from 1; nothing where floats have lost it."""
    if is_lost(amount):
        return ""
    place, flat = [], int(abs(amount.value).argmax())
    largest = number(float(amount.value.ravel()[flat]))
    for size in reversed(amount.value.shape):
        flat, index = divmod(flat, size)
        place.append(str(index + 1))
    return say(language, "place", value=largest, place=f"[{','.join(reversed(place))}]") if place else largest


def is_lost(amount: MatrixAmount) -> bool:
    """Whether the array is not 0, but beyond the range of floats."""
    return amount.log10 != -math.inf and not 1e-300 < float(abs(amount.value).max()) < 1e300


def amount_json(amount: Amount | MatrixAmount | None) -> dict[str, Any]:
    """value, log10 (of the Frobenius norm) and sign (of a number)."""
    if amount is None:
        return {"value": None, "log10": None, "sign": None}
    scalar = as_number(amount)
    if scalar is not None:
        return {"value": scalar.value, "log10": scalar.log10, "sign": scalar.sign}
    assert not isinstance(amount, Amount)
    return {"value": amount.value.tolist(), "log10": amount.log10, "sign": None}
