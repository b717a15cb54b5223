(* The functions of the language of cells. The theorem about a cell is proved for any functions with the right
   derivatives, so that it needs no more than the axioms of the real numbers; these are the functions that are meant,
   made of the exponential function of the standard library, which is built on one axiom more. *)
Module Concrete.

Definition logistic (z : R) : R := / (1 + exp (- z)).
Definition logistic' (z : R) : R := logistic z * (1 - logistic z).
Definition tanh' (z : R) : R := 1 - tanh z ^ 2.
Definition softplus (z : R) : R := ln (1 + exp z).
Definition softplus' (z : R) : R := logistic z.

Lemma logistic_slope : forall z, derivable_pt_lim logistic z (logistic' z).
Proof.
  intros z. assert (P := exp_pos (- z)).
  apply dlim_eq with (-1 * / ((1 + exp (- z)) ^ 2) * (0 + exp (- z) * -1)).
  - apply (dlim_inv (fun s => 1 + exp (- s))); [lra|].
    apply dlim_plus; [apply dlim_const|]. apply (dlim_comp exp Ropp); [|apply derivable_pt_lim_exp].
    apply dlim_eq with (- (1)); [exact (derivable_pt_lim_opp id z 1 (derivable_pt_lim_id z))|ring].
  - unfold logistic', logistic. field. lra.
Qed.

Lemma tanh_slope : forall z, derivable_pt_lim tanh z (tanh' z).
Proof.
  intros z. assert (P : cosh z <> 0) by (unfold cosh; assert (A := exp_pos z); assert (B := exp_pos (- z)); lra).
  apply dlim_eq with ((cosh z * cosh z - sinh z * sinh z) / Rsqr (cosh z)).
  - exact (derivable_pt_lim_div sinh cosh z _ _ (derivable_pt_lim_sinh z) (derivable_pt_lim_cosh z) P).
  - unfold tanh', tanh, Rsqr. field. exact P.
Qed.

Lemma softplus_slope : forall z, derivable_pt_lim softplus z (softplus' z).
Proof.
  intros z. assert (P := exp_pos z).
  apply dlim_eq with (/ (1 + exp z) * (0 + exp z)).
  - apply (dlim_comp ln (fun s => 1 + exp s)); [|apply derivable_pt_lim_ln; lra].
    apply dlim_plus; [apply dlim_const|exact (derivable_pt_lim_exp z)].
  - unfold softplus', logistic. rewrite exp_Ropp. field. split; lra.
Qed.

Lemma exp_slope : forall z, derivable_pt_lim exp z (exp z).
Proof. exact derivable_pt_lim_exp. Qed.

Lemma sin_slope : forall z, derivable_pt_lim sin z (cos z).
Proof. exact derivable_pt_lim_sin. Qed.

Lemma cos_slope : forall z, derivable_pt_lim cos z (-1 * sin z).
Proof. intros z. apply dlim_eq with (- sin z); [exact (derivable_pt_lim_cos z)|ring]. Qed.

Lemma ln_slope : forall z, 0 < z -> derivable_pt_lim ln z (/ z).
Proof. exact derivable_pt_lim_ln. Qed.

Lemma sqrt_slope : forall z, 0 < z -> derivable_pt_lim sqrt z (1 / 2 * / sqrt z).
Proof.
  intros z P. apply dlim_eq with (/ (2 * sqrt z)); [exact (derivable_pt_lim_sqrt z P)|].
  assert (Q := sqrt_lt_R0 z P). field. lra.
Qed.

(* A power that is no whole number is that of a positive base. *)
Definition power (e z : R) : R := Rpower z e.

Lemma power_slope : forall e less, less = e - 1 -> forall z, 0 < z ->
  derivable_pt_lim (power e) z (e * power less z).
Proof. intros e less E z P. rewrite E. exact (derivable_pt_lim_power z e P). Qed.

End Concrete.
