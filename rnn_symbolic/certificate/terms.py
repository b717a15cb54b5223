r"""Our records as terms of Coq: the real numbers of its standard library, and identifiers that it leaves free.

W_h h_{t−1} + b_h   ->   W_h * h_prev + b_h          c^{−2}   ->   / (c ^ 2)          σ'(a)   ->   sigma' a
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from fractions import Fraction
from functools import cache
from importlib.resources import files

from rnn_symbolic.certificate.functions import NAMES, PRIME, TABLE, coq_number, power_name
from rnn_symbolic.codegen.identifiers import Identifiers
from rnn_symbolic.errors import NotDerivable
from rnn_symbolic.expressions import (
    MINUS_ONE,
    Add,
    Apply,
    Call,
    Expression,
    Multiply,
    Number,
    Power,
    Quantity,
    StepLoss,
    multiply,
)
from rnn_symbolic.frozen import frozen

# Keywords of Coq 8 and 9; the names of its library that our text uses; the bound variables of our text.
WORDS = frozenset(
    """Axiom CoFixpoint Definition End Fixpoint Hypothesis IF Inductive Lemma Module Parameter Prop Record SProp Section
    Set Theorem Type Variable as at by cofix else end exists exists2 fix for forall fun if in is let match mod return
    struct then using where with
    R O S I nat list bool true false pair fst snd app map seq cons nil length In eq le lt not and or length NoDup
    sin cos exp ln sqrt tanh logistic softplus relu Concrete cosh sinh pow Rpower INR IZR PI Rabs Rmax Rmin Rinv
    Ropp Rplus Rmult True False conj or_introl or_intror eq_refl le_n le_n_S proj1 proj2 seq_NoDup in_seq app_nil_r Nat
    list_sum list_sum_app map_app map_ext_in seq_S flat_map plus existsb fold_right derivable_pt_lim
    uniqueness_limite FunctionalExtensionality
    s t z p u v k j N M D T H past row derive same not_zero sigma ell
    Admitted admit give_up Axioms Parameters Conjecture Unset Load Redirect Extraction Declare Cd Print Eval""".split()
)


WORD = re.compile(r"[A-Za-z_][\w']*")


@cache
def theory() -> str:
    """The hand-written part of every certificate: the theorem, for any table of local derivatives."""
    return files("rnn_symbolic.certificate").joinpath("theory.v").read_text(encoding="utf-8")


@cache
def concrete_theory() -> str:
    """The functions of the language of cells as Coq has them, with their derivatives."""
    return files("rnn_symbolic.certificate").joinpath("concrete.v").read_text(encoding="utf-8")


@cache
def theory_names() -> frozenset[str]:
    """What the hand-written part defines."""
    commands = r"^\s*(?:\||(?:Lemma|Theorem|Definition|Fixpoint|Inductive|Ltac)) ([A-Za-z][\w']*)"
    return frozenset(re.findall(commands, theory(), re.MULTILINE))


class CoqNames(Identifiers):
    """A map from names of quantities to identifiers of Coq; O, S and R are taken, and so is whatever the text uses.

    >>> names = CoqNames()
    >>> names["W_x"], names["S"], names["t"], names["h_-1"], names.made("a", "by", "h")
    ('W_x', 'S_', 't_', 'h_m1', 'a_by_h')
    >>> names["dL_dW"], names["power_1_2"], names["W_concrete"]
    ('cell_dL_dW', 'cell_power_1_2', 'W_concrete_')
    """

    def __init__(self, reserved: Iterable[str] = ()) -> None:
        slopes = (f"{function.name}_slope" for function in TABLE.values())
        super().__init__([*WORDS, *theory_names(), *slopes, *reserved])

    def fresh(self, wanted: str) -> str:
        if re.match(r"dL_d|power_", wanted):  # the main theorem, a function of the cell
            wanted = f"cell_{wanted}"
        if wanted.endswith("_concrete"):
            wanted += "_"
        return super().fresh(wanted.replace("-", "m"))

    def made(self, *parts: str) -> str:
        """An identifier made of others, the same whenever it is asked for."""
        key = " ".join(parts)  # no quantity's name has a space in it
        if key not in self:
            self.set(key, "_".join(parts))
        return self[key]


ATOM, POWER, PRODUCT, SUM = 4, 3, 2, 1
"""How tightly a term binds: an atom, u ^ 2, u * v, u + v. An application binds like a power's base."""


@frozen
class Writer:
    """Writes expressions as terms; ``name`` says what each quantity is called, ``step`` what the t of ℓ_t is.

    >>> a, write = Quantity("a", 0, "t"), Writer(lambda quantity: quantity.name)
    >>> write.term(Add((Multiply((Quantity("z"), a)), Multiply((MINUS_ONE, Call("sigma", a, 1))))))
    "z * a - sigma' a"
    >>> write.term(Power(Call("exp", a), Fraction(-2)))
    '/ (exp a ^ 2)'
    """

    name: Callable[[Quantity], str]
    step: str = "t"

    def term(self, expression: Expression, around: int = SUM) -> str:
        """The term, in brackets where what stands around it binds tighter."""
        text, level = self._written(expression)
        return f"({text})" if level < around else text

    def _written(self, expression: Expression) -> tuple[str, int]:
        match expression:
            case Quantity():
                text = self.name(expression)
                return text, POWER if " " in text else ATOM
            case Number(value):
                return coq_number(value), ATOM
            case Call("identity", argument, 0):
                return self._written(argument)
            case Call(function, argument, order):
                called = NAMES.get(function, function) + PRIME * order
                return f"{called} {self.term(argument, ATOM)}", POWER
            case StepLoss(loss, argument, order, False):
                step = self.step if loss.index else str(loss.step)
                return f"ell{PRIME * order} {step} {self.term(argument, ATOM)}", POWER
            case Add(terms):
                text = self.term(terms[0])
                for term in terms[1:]:
                    negative = isinstance(term, Multiply) and term.factors[0] == MINUS_ONE
                    rest = multiply(*term.factors[1:]) if isinstance(term, Multiply) and negative else term
                    text += f" {'-' if negative else '+'} {self.term(rest, PRODUCT)}"
                return text, SUM
            case Multiply(factors=factors):
                # the first factor may itself be a product, the others not: products associate to the left
                return " * ".join(self.term(f, POWER if i else PRODUCT) for i, f in enumerate(factors)), PRODUCT
            case Apply(left, right):
                return f"{self.term(left, PRODUCT)} * {self.term(right, POWER)}", PRODUCT
            case Power(base, exponent):
                return self._power(base, exponent)
        raise NotDerivable(f"{type(expression).__name__} has no reading in a Coq certificate yet; use the scalar form")

    def _power(self, base: Expression, exponent: Fraction) -> tuple[str, int]:
        """Whole powers by repeated multiplication, their reciprocals, and Rpower for a fraction."""
        atom = self.term(base, ATOM)
        if exponent.denominator > 1:
            return f"{power_name(exponent)} {atom}", POWER
        if exponent == -1:
            return f"/ {atom}", PRODUCT
        below = atom if isinstance(base, Power) else self.term(base, POWER)  # (u ^ 2) ^ 2 keeps its brackets
        return (f"/ ({below} ^ {-exponent})", PRODUCT) if exponent < 0 else (f"{below} ^ {exponent}", POWER)
