r"""The theorem of the textbook, for the elman network: the double sum over loss steps and entry steps.

    dL/dW_x  =  Σ_t ℓ_t' σ'(o_t) W_y  Σ_{s≤t}  (Π_{j=s+1..t} σ'(a_j) W_h)  σ'(a_s) x_s

It follows from the sum over paths: a_t = b_t + c_t a_{t−1} and a_0 = 0 give a_t = Σ_{s≤t} (Π_{j=s+1..t} c_j) b_s.
"""

from __future__ import annotations

from rnn_symbolic.cells import load_cell
from rnn_symbolic.certificate.equations import row_expression
from rnn_symbolic.certificate.goals import Goal
from rnn_symbolic.certificate.terms import POWER, Writer
from rnn_symbolic.expressions import Quantity
from rnn_symbolic.table import Edge

OUTPUT = (("l", "y"), ("y", "o"), ("o", "h"))
"""The rows from a loss to its state."""


def has_double_sum(goal: Goal) -> bool:
    """Whether this is the elman network and a parameter that enters at every step."""
    model = goal.network.model
    elman = model.cell.equations == load_cell("elman").equations and model.losses == "all"
    return elman and str(goal.quantity) in ("W_x", "W_h", "b_h")


def double_sum(goal: Goal) -> str:
    """The theorem ``double_sum`` and its proof."""
    network = goal.network

    def row(head: str, tail: str) -> Edge:
        return next(edge for edge in network.quantities[head].edges if edge.tail.name == tail)

    def written(rows: tuple[tuple[str, str], ...], step: str) -> str:
        def name(quantity: Quantity) -> str:
            if quantity.name in network.quantities and not quantity.step:
                return f"value p {step} {network.names[quantity.name]}"
            return network.visited(quantity, step)

        # a factor 1 stays: what is written must be what the rows reduce to
        return " * ".join(Writer(name, step).term(row_expression(row(*pair)), POWER) for pair in rows)

    def named(head: str, tail: str) -> str:
        return f"{network.row_at(network.quantities[head], row(head, tail))} p"

    entry = ("h", "a"), ("a", str(goal.quantity))
    inner = f"between s t (fun j => {written((('h', 'a'), ('a', 'h')), 'j')}) * ({written(entry, 's')})"
    slope = named("h", "a")
    recursion = f"(fun j => {slope} j * {named('a', 'h')} j) * ({slope} s * {named('a', str(goal.quantity))} s)"
    cbn = "cbn [rows map sum enters entry weight Nat.ltb Nat.leb Nat.sub]"
    reg, if_regular = (" Reg", "regular p T ->") if network.conditional else ("", "")
    lines = [
        "(* The same as a double sum, over the steps of the losses and the steps at which a path enters. *)",
        f"Theorem double_sum : forall (p : point) (T : nat), {if_regular}",
        f"  derivable_pt_lim (fun z => L ({goal.moved} p z) T) {goal.at}",
        f"    (over (seq 1 T) (fun t => {written(OUTPUT, 't')} *",
        f"       over (seq 1 t) (fun s => {inner}))).",
        "Proof.",
        f"  intros p T{reg}. eapply dlim_eq; [exact ({goal.theorem} p T{reg})|].",
        "  pose (A := along rows (weight p) enters (entry p) depth height).",
        "  assert (Split := along_split name rows (weight p) enters (entry p) depth height depth_height depth_rows).",
        "  fold A in Split.",
        "  assert (H : forall t, A t h = over (seq 1 t) (fun s =>",
        f"    between s t {recursion})).",
        f"  {{ apply unrolled_recursion; [rewrite Split; unfold over; {cbn}; ring|].",
        f"    intros t. rewrite Split. unfold over at 1. {cbn}.",
        f"    rewrite Split. unfold over at 1. {cbn}.",
        f"    destruct t as [|t]; {cbn}; [rewrite (Split 0%nat h); unfold over; {cbn}|]; ring. }}",
        f"  unfold {goal.paths}, {goal.product}, loss_paths. rewrite over_flat_map. apply over_ext.",
        "  intros t In_t. apply in_seq in In_t. destruct t as [|t]; [lia|].",
        f"  change (A (S t) l = {written(OUTPUT, '(S t)')} *",
        f"    over (seq 1 (S t)) (fun s => between s (S t) {recursion})).",
        "  rewrite <- H.",
    ]
    for head, tail in OUTPUT:
        lines.append(f"  rewrite (Split (S t) {head}); unfold over; {cbn}.")
        lines.append(f"  change ({named(head, tail)} (S t)) with ({written(((head, tail),), '(S t)')}).")
    return "\n".join([*lines, "  ring.", "Qed."])
