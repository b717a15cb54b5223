"""Identifiers: every quantity of a program gets one that the language, and the printed text, leave free."""

from __future__ import annotations

import keyword
from collections.abc import Iterable

# C11, C++ and what <math.h>, <stdio.h>, <string.h> define: a parameter called `double` or `y1` becomes `double_`.
C_WORDS = frozenset(
    """auto break case char const continue default do double else enum extern float for goto if inline int long
    register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while
    bool true false class new delete this template typename namespace using private public protected virtual
    operator asm main real exp expf log logf sin sinf cos cosf sqrt sqrtf tanh tanhf pow powf fabs fabsf log1p log1pf
    expm1 expm1f fmax fmin isfinite isnan j0 j1 jn y0 y1 yn gamma lgamma tgamma signgam erf index malloc free memset
    memcpy size_t NULL INFINITY NAN EOF stdin stdout stderr errno abs div remove signal time clock""".split()
)


class Identifiers:
    """A map from the names of a program to identifiers, each used once.

    >>> names = Identifiers(reserved=["x"])
    >>> names["lambda"], names["x"], names["∂h"], names["dh"], names["∂h"]
    ('lambda_', 'x_', 'dh', 'dh_', 'dh')
    """

    def __init__(self, reserved: Iterable[str] = (), words: Iterable[str] = keyword.kwlist) -> None:
        self._taken = {*reserved, *words}
        self._found: dict[str, str] = {}

    def __getitem__(self, name: str) -> str:
        if name not in self._found:
            self._found[name] = self.fresh(name.replace("∂", "d").replace("1/T", "share"))
        return self._found[name]

    def __contains__(self, name: str) -> bool:
        return name in self._found

    def set(self, name: str, wanted: str) -> None:
        """Give a name an identifier near ``wanted``, for good."""
        self._found[name] = self.fresh(wanted)

    def fresh(self, wanted: str) -> str:
        """An identifier near ``wanted`` that nothing else has."""
        while wanted in self._taken:
            wanted += "_"
        self._taken.add(wanted)
        return wanted
