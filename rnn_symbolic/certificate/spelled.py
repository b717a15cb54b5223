r"""The theorem at T = 3 spelled out path by path, and what becomes of the article's three paths.

For the article's network and W_x the six paths carry a fixed name, so do the three that are the derivative of ℓ_3, and
a rational instance where these three are not the derivative of L: σ(z) = z², where every a_t is −½.
"""

from __future__ import annotations

import re
from itertools import pairwise

from rnn_symbolic.cells import load_cell
from rnn_symbolic.certificate.counting import Count, Node
from rnn_symbolic.certificate.equations import row_expression
from rnn_symbolic.certificate.goals import Goal
from rnn_symbolic.certificate.terms import POWER, Writer
from rnn_symbolic.expressions import ONE, Quantity
from rnn_symbolic.table import Edge

MAX_SPELLED = 12
"""How many paths are written out."""
STEPS = 3


def is_article(goal: Goal) -> bool:
    """Whether this is dL/dW_x of the article's network."""
    return goal.network.model.cell.equations == load_cell("elman").equations and goal.name == "W_x"


def spelled_theorems(goal: Goal) -> tuple[str, ...]:
    """The names of the theorems that `spelled_out` proves."""
    last = goal.network.model.losses == "last"
    if is_article(goal):
        return ("article_three_paths",) if last else ("article_six_paths", "article_three_paths")
    return ("three_steps",) if Count(goal).total(STEPS) <= MAX_SPELLED else ()


def has_instance(goal: Goal) -> bool:
    """Whether σ and ℓ are abstract throughout, so that z² and ½(y − d)² can take their places."""
    model = goal.network.model
    abstract = model.activation == model.output_activation == "sigma" and model.loss == "abstract"
    return abstract and "article_six_paths" in spelled_theorems(goal)


def spelled_out(goal: Goal) -> str:
    """The theorems for three steps; nothing where there are too many paths."""
    names = spelled_theorems(goal)
    count, last = Count(goal), goal.network.model.losses == "last"
    third = list(count.listing("l", STEPS))
    every = third if last else [path for t in range(1, STEPS + 1) for path in count.listing("l", t)]
    parts = []
    some = " (le_n_S 0 2 (Nat.le_0_l 2))" if last else ""
    reg, if_regular = (" Reg", f"regular p {STEPS} -> ") if goal.network.conditional else ("", "")
    start = f"forall (p : point), {if_regular}\n  derivable_pt_lim"
    for name in names:
        if name == "article_three_paths":
            parts.append("(* The article's paths: they are the derivative of the loss of step 3. *)")
            parts.append(f"Theorem {name} : {start} (fun z => value ({goal.moved} p z) 3 {goal.loss}) {goal.at}")
            proof = f"every_quantity p 3 3 {goal.loss}{reg} (conj (le_n_S 0 2 (Nat.le_0_l 2)) (le_n 3))"
            parts.append(_claim(goal, third, f"over (paths_of 3 {goal.loss}) ({goal.product} p)", proof, reg))
        else:
            parts.append("(* For three steps, path by path. *)")
            parts.append(f"Theorem {name} : {start} (fun z => L ({goal.moved} p z) 3) {goal.at}")
            proof = f"{goal.theorem} p 3{some}{reg}"
            parts.append(_claim(goal, every, f"over ({goal.paths} 3) ({goal.product} p)", proof, reg))
    return "\n".join(parts)


def _claim(goal: Goal, paths: list[tuple[Node, ...]], general: str, proof: str, reg: str) -> str:
    """The sum of the products, and its proof: Coq lists the paths and finds these products."""
    shown, exact, long = [], [], set[str]()
    for path in paths:
        factors = _factors(goal, path)
        route = " -> ".join(f"{goal.network.quantities[name].name}_{t}" for name, t in path)
        shown.append(f"(* {route} -> {goal.name} *)\n     {' * '.join(f for f in factors if f != '1') or '1'}")
        long.update(factor for factor in factors if re.search(r"[-+/^]", factor))
        exact.append(" * (".join(factors) + ")" * (len(factors) - 1))
    # long factors become variables, so that `ring` need not multiply them out
    by_length = sorted(long, key=lambda factor: (-len(factor), factor))
    return "\n".join(
        [
            "    (" + (" +\n     ".join(shown) or "0") + ").",
            "Proof.",
            f"  intros p{reg}. apply dlim_eq with ({general}); [exact ({proof})|].",
            "  transitivity (sum [",
            "    " + ";\n    ".join(exact) + "]).",
            "  - reflexivity.",
            # a long factor is a number here; `ring` need not know which
            f"  - cbn [sum]. {''.join(f'generalize ({factor}); intro. ' for factor in by_length)}ring.",
            "Qed.",
            "",
        ]
    )


def _factors(goal: Goal, path: tuple[Node, ...]) -> list[str]:
    """The entries of the rows along a path, with every quantity at its step."""
    network = goal.network
    factors = []
    for (name, t), (tail, s) in pairwise(path):
        factors.append(_factor(goal, _row(goal, name, tail, t - s), t))
    name, t = path[-1]
    rows = goal.entries(network.quantities[name])
    entry = next(edge for edge in rows if goal.enters_at(edge) in (None, t))
    return [*factors, _factor(goal, entry, t)]


def _row(goal: Goal, head: str, tail: str, lag: int) -> Edge:
    rows = goal.network.quantities[head].edges
    return next(edge for edge in rows if edge.tail.name == tail and edge.lag == lag)


def _factor(goal: Goal, edge: Edge, t: int) -> str:
    def name(quantity: Quantity) -> str:
        return goal.network.at_number(quantity, t)

    expression = row_expression(edge)
    return "1" if expression == ONE else Writer(name, str(t)).term(expression, POWER)


INSTANCE = """\
(* An instance in rational numbers where the article's three paths are not dL/dW_x, only the derivative of the third
   loss: the activation z^2, L = 1/2 sum (y_t - d_t)^2, d = (1, 2, 0), x = (-1/2, -1, -1); every a_t is -1/2. *)

Definition square (z : R) : R := z * z.
Definition square' (z : R) : R := 2 * z.
Definition target (t : nat) : R := match t with 1%nat => 1 | 2%nat => 2 | _ => 0 end.
Definition half_squared (t : nat) (y : R) : R := 1 / 2 * ((y - target t) * (y - target t)).
Definition half_squared' (t : nat) (y : R) : R := y - target t.

Definition article_point : point := {|
  W_h := 2; W_x := 1; b_h := 0; W_y := 1; b_y := 0; h_0 := 0;
  x := fun t => match t with 1%nat => -1 / 2 | _ => -1 end
|}.

Lemma article_regular : regular square square' half_squared half_squared' article_point 3.
Proof.
  assert (S : forall z, derivable_pt_lim square z (square' z)).
  { intros z. unfold square, square'. eapply dlim_eq; [derive | ring]. }
  intros t Range. unfold h_ok, y_ok, l_ok. repeat split; try apply S.
  unfold half_squared, half_squared'. eapply dlim_eq; [derive | field].
Qed.

Lemma article_values : forall t, (1 <= t <= 3)%nat ->
  value square half_squared article_point t a = -1 / 2 /\\
  value square half_squared article_point t h = 1 / 4 /\\
  value square half_squared article_point t o = 1 / 4 /\\
  value square half_squared article_point t y = 1 / 16.
Proof.
  enough (A : forall t, (t < 3)%nat -> value square half_squared article_point (S t) a = -1 / 2).
  { intros t Range. destruct t as [|t]; [lia|].
    assert (H : value square half_squared article_point (S t) h = 1 / 4).
    { change (square (value square half_squared article_point (S t) a) = 1 / 4).
      rewrite A by lia. unfold square. field. }
    assert (O : value square half_squared article_point (S t) o = 1 / 4).
    { change (1 * value square half_squared article_point (S t) h + 0 = 1 / 4). rewrite H. field. }
    repeat split; [apply A; lia | exact H | exact O |].
    change (square (value square half_squared article_point (S t) o) = 1 / 16). rewrite O. unfold square. field. }
  intros t. induction t as [|t IH]; intros Range.
  - change (2 * 0 + 1 * (-1 / 2) + 0 = -1 / 2). field.
  - change (2 * square (value square half_squared article_point (S t) a) + 1 * -1 + 0 = -1 / 2).
    rewrite IH by lia. unfold square. field.
Qed.

Theorem article_not_whole_loss :
  let p := article_point in
  let value := value square half_squared in
  let three_paths :=
    half_squared' 3 (value p 3%nat y) * square' (value p 3%nat o) * W_y p * square' (value p 3%nat a) * x p 3%nat +
    half_squared' 3 (value p 3%nat y) * square' (value p 3%nat o) * W_y p * square' (value p 3%nat a) *
      W_h p * square' (value p 2%nat a) * x p 2%nat +
    half_squared' 3 (value p 3%nat y) * square' (value p 3%nat o) * W_y p * square' (value p 3%nat a) *
      W_h p * square' (value p 2%nat a) * W_h p * square' (value p 1%nat a) * x p 1%nat in
  (forall t, (1 <= t <= 3)%nat -> value p t a = -1 / 2) /\\
  three_paths = 1 / 32 /\\
  derivable_pt_lim (fun z => value (with_W_x p z) 3%nat l) (W_x p) three_paths /\\
  derivable_pt_lim (fun z => L square half_squared (with_W_x p z) 3) (W_x p) (-13 / 64) /\\
  ~ derivable_pt_lim (fun z => L square half_squared (with_W_x p z) 3) (W_x p) three_paths.
Proof.
  intros p v three_paths.
  assert (R1 : (1 <= 1 <= 3)%nat) by lia. assert (R2 : (1 <= 2 <= 3)%nat) by lia.
  assert (R3 : (1 <= 3 <= 3)%nat) by lia.
  destruct (article_values 1 R1) as (A1 & H1 & O1 & Y1).
  destruct (article_values 2 R2) as (A2 & H2 & O2 & Y2).
  destruct (article_values 3 R3) as (A3 & H3 & O3 & Y3).
  assert (Six : derivable_pt_lim (fun z => L square half_squared (with_W_x p z) 3) (W_x p) (-13 / 64)).
  { eapply dlim_eq; [exact (article_six_paths _ _ _ _ article_point article_regular)|].
    rewrite A1, A2, A3, O1, O2, O3, Y1, Y2, Y3. cbn [W_h W_x W_y x article_point].
    unfold square', half_squared', target. field. }
  assert (Sum : three_paths = 1 / 32).
  { unfold three_paths, v, p. rewrite A1, A2, A3, O3, Y3. cbn [W_h W_x W_y x article_point].
    unfold square', half_squared', target. field. }
  split; [|split; [exact Sum|split; [|split; [exact Six|]]]].
  - intros t Range. exact (proj1 (article_values t Range)).
  - eapply dlim_eq; [exact (article_three_paths _ _ _ _ article_point article_regular)|].
    unfold three_paths, v, p. ring.
  - intros Three. assert (E := uniqueness_limite _ _ _ _ Six Three). rewrite Sum in E. lra.
Qed."""
