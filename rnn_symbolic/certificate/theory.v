(* -------------------------------------------------------------------------------------------------------------- *)
(*  Backpropagation through time as a sum over paths: the theorem behind every cell, for every number of steps T. *)
(*                                                                                                                *)
(*  Part 1  derivatives: sums, products, compositions, the functions of the language of cells                     *)
(*  Part 2  finite sums over lists, and over the components of a vector                                           *)
(*  Part 3  networks: the values of all quantities at all steps, from the equations of one step                   *)
(*  Part 4  paths: the actual list of them, and the product along one                                             *)
(*  Part 5  the theorem: the sum of the products is the derivative                                                *)
(*  Part 6  the adjoint recursion: the same sum, taken backwards through time                                     *)
(*                                                                                                                *)
(*  The n components of a state, and what they are computed from, are the names of a network; what is asked of    *)
(*  them is asked at the visited points only. Only the standard library of Coq is used.                           *)
(* -------------------------------------------------------------------------------------------------------------- *)

Require Import Reals List Arith Lia Lra.
Import ListNotations.
Open Scope R_scope.

(* ---------------------------------------------- Part 1: derivatives ------------------------------------------- *)

(* "derivable_pt_lim f z u" of the standard library says that f has the derivative u at z. *)

Lemma dlim_eq : forall f z u v, derivable_pt_lim f z u -> u = v -> derivable_pt_lim f z v.
Proof. intros f z u v H E. rewrite <- E. exact H. Qed.

Lemma dlim_const : forall c z, derivable_pt_lim (fun _ => c) z 0.
Proof. intros c z. exact (derivable_pt_lim_const c z). Qed.

Lemma dlim_id : forall z, derivable_pt_lim (fun s => s) z 1.
Proof. intros z. exact (derivable_pt_lim_id z). Qed.

Lemma dlim_plus : forall f g z u v,
  derivable_pt_lim f z u -> derivable_pt_lim g z v -> derivable_pt_lim (fun s => f s + g s) z (u + v).
Proof. intros f g z u v Hf Hg. exact (derivable_pt_lim_plus f g z u v Hf Hg). Qed.

Lemma dlim_minus : forall f g z u v,
  derivable_pt_lim f z u -> derivable_pt_lim g z v -> derivable_pt_lim (fun s => f s - g s) z (u - v).
Proof. intros f g z u v Hf Hg. exact (derivable_pt_lim_minus f g z u v Hf Hg). Qed.

Lemma dlim_mult : forall f g z u v,
  derivable_pt_lim f z u -> derivable_pt_lim g z v -> derivable_pt_lim (fun s => f s * g s) z (u * g z + f z * v).
Proof. intros f g z u v Hf Hg. exact (derivable_pt_lim_mult f g z u v Hf Hg). Qed.

Lemma dlim_scale : forall c f z u, derivable_pt_lim f z u -> derivable_pt_lim (fun s => c * f s) z (c * u).
Proof. intros c f z u H. exact (derivable_pt_lim_scal f c z u H). Qed.

(* The chain rule: phi need be differentiable at the one point f z only. *)
Lemma dlim_comp : forall phi f z u v,
  derivable_pt_lim f z u -> derivable_pt_lim phi (f z) v -> derivable_pt_lim (fun s => phi (f s)) z (v * u).
Proof. intros phi f z u v Hf Hphi. exact (derivable_pt_lim_comp f phi z u v Hf Hphi). Qed.

Lemma dlim_pow : forall m f z u,
  derivable_pt_lim f z u -> derivable_pt_lim (fun s => f s ^ S m) z (INR (S m) * f z ^ m * u).
Proof.
  intros m f z u H. apply (dlim_comp (fun y => y ^ S m) f); [exact H|].
  exact (derivable_pt_lim_pow (f z) (S m)).
Qed.

Lemma dlim_inv : forall f z u,
  f z <> 0 -> derivable_pt_lim f z u -> derivable_pt_lim (fun s => / f s) z (-1 * / (f z ^ 2) * u).
Proof.
  intros f z u N H. apply (dlim_comp Rinv f); [exact H|].
  apply dlim_eq with (- 1 / (f z * f z)); [|field; exact N].
  assert (G := derivable_pt_lim_div (fct_cte 1) id (f z) 0 1
    (derivable_pt_lim_const 1 (f z)) (derivable_pt_lim_id (f z)) N).
  intros e He. destruct (G e He) as [d Hd]. exists d. intros k Nk Hk.
  specialize (Hd k Nk Hk). unfold div_fct, fct_cte, id, Rsqr in Hd.
  replace ((/ (f z + k) - / f z) / k - -1 / (f z * f z))
    with ((1 / (f z + k) - 1 / f z) / k - (0 * f z - 1 * 1) / (f z * f z)); [exact Hd|].
  unfold Rdiv. ring.
Qed.

Lemma dlim_inv_pow : forall m f z u,
  f z <> 0 -> derivable_pt_lim f z u ->
  derivable_pt_lim (fun s => / (f s ^ S m)) z (- INR (S m) * / (f z ^ S (S m)) * u).
Proof.
  intros m f z u N H.
  apply dlim_eq with (-1 * / ((f z ^ S m) ^ 2) * (INR (S m) * f z ^ m * u)).
  - apply (dlim_inv (fun s => f s ^ S m)); [apply pow_nonzero; exact N|apply dlim_pow; exact H].
  - assert (P : f z ^ m <> 0) by (apply pow_nonzero; exact N).
    rewrite <- !tech_pow_Rmult. field. split; assumption.
Qed.

(* relu is differentiable off its kink, where it is one of two straight lines. *)
Definition relu (z : R) : R := if Rlt_dec 0 z then z else 0.
Definition relu' (z : R) : R := if Rlt_dec 0 z then 1 else 0.

Lemma relu_slope : forall z, z <> 0 -> derivable_pt_lim relu z (relu' z).
Proof.
  intros z N e He. assert (A : 0 < Rabs z) by (apply Rabs_pos_lt; exact N).
  exists (mkposreal (Rabs z) A). simpl. intros k Nk Hk. unfold relu, relu'.
  assert (B := Rabs_def2 _ _ Hk). unfold Rabs in *. destruct (Rcase_abs z).
  - destruct (Rlt_dec 0 z); [lra|]. destruct (Rlt_dec 0 (z + k)); [lra|].
    replace ((0 - 0) / k - 0) with 0 by (field; exact Nk). destruct (Rcase_abs 0); lra.
  - destruct (Rlt_dec 0 z); [|lra]. destruct (Rlt_dec 0 (z + k)); [|lra].
    replace ((z + k - z) / k - 1) with 0 by (field; exact Nk). destruct (Rcase_abs 0); lra.
Qed.

(* The derivative of an expression, by the rules above; the slopes of functions are found among the hypotheses. *)
Ltac slope :=
  cbv beta;
  first
    [ eassumption
    | apply relu_slope; assumption
    | match goal with H : forall z, derivable_pt_lim _ z _ |- _ => apply H end
    | match goal with H : forall z, 0 < z -> derivable_pt_lim _ z _ |- _ => apply H; assumption end ].

Ltac derive :=
  cbv beta;
  lazymatch goal with
  | |- derivable_pt_lim (fun _ => ?c) _ _ => apply dlim_const
  | |- derivable_pt_lim (fun s => @?f s + @?g s) _ _ => apply (dlim_plus f g); derive
  | |- derivable_pt_lim (fun s => @?f s - @?g s) _ _ => apply (dlim_minus f g); derive
  | |- derivable_pt_lim (fun s => @?f s * @?g s) _ _ => apply (dlim_mult f g); derive
  | |- derivable_pt_lim (fun s => / (@?f s ^ S ?m)) _ _ => apply (dlim_inv_pow m f); [assumption|derive]
  | |- derivable_pt_lim (fun s => / (@?f s)) _ _ => apply (dlim_inv f); [assumption|derive]
  | |- derivable_pt_lim (fun s => (@?f s) ^ S ?m) _ _ => apply (dlim_pow m f); derive
  | |- derivable_pt_lim (fun s => s) _ _ => apply dlim_id
  | |- derivable_pt_lim (fun s => ?phi (@?f s)) _ _ =>
      first [eassumption | apply (dlim_comp phi f); [derive|slope]]
  | |- derivable_pt_lim _ _ _ => eassumption
  end.

(* Two ways of writing the same number; divisors are found not to be zero among the hypotheses. *)
Ltac not_zero :=
  first
    [ assumption
    | apply Rgt_not_eq; assumption
    | lra ].

Ltac split_conditions := repeat match goal with H : _ /\ _ |- _ => destruct H end.

(* Without cancelling: the inverse of a product is that of its factors, and what remains is a number like others. *)
Ltac inverses_apart :=
  rewrite ?Rinv_mult, ?Rinv_inv, ?Rinv_1;
  repeat match goal with
  | |- context [/ ?u] => lazymatch u with IZR _ => fail | _ => generalize (/ u); intro end
  end.

Ltac same := cbv beta; cbn [INR pow]; first [ring | solve [inverses_apart; field] | field; repeat split; not_zero].

(* ---------------------------------------------- Part 2: finite sums ------------------------------------------- *)

Fixpoint sum (terms : list R) : R :=
  match terms with
  | [] => 0
  | u :: rest => u + sum rest
  end.

(* The sum of f over a list. *)
Definition over {A : Type} (items : list A) (f : A -> R) : R := sum (map f items).

Lemma over_nil : forall A (f : A -> R), over [] f = 0.
Proof. reflexivity. Qed.

Lemma over_cons : forall A (i : A) items f, over (i :: items) f = f i + over items f.
Proof. reflexivity. Qed.

Lemma over_app : forall A (one other : list A) f, over (one ++ other) f = over one f + over other f.
Proof.
  intros A one other f. induction one as [|i one IH]; [rewrite over_nil; simpl; ring|].
  simpl app. rewrite !over_cons, IH. ring.
Qed.

Lemma over_ext : forall A (items : list A) f g, (forall i, In i items -> f i = g i) -> over items f = over items g.
Proof. intros A items f g E. unfold over. f_equal. apply map_ext_in. exact E. Qed.

Lemma over_map : forall A B (items : list A) (g : A -> B) f, over (map g items) f = over items (fun i => f (g i)).
Proof. intros. unfold over. rewrite map_map. reflexivity. Qed.

Lemma over_flat_map : forall A B (items : list A) (g : A -> list B) f,
  over (flat_map g items) f = over items (fun i => over (g i) f).
Proof.
  intros A B items g f. induction items as [|i items IH]; [reflexivity|].
  simpl flat_map. rewrite over_app, over_cons, IH. reflexivity.
Qed.

Lemma over_scale : forall A (items : list A) c f, over items (fun i => c * f i) = c * over items f.
Proof.
  intros A items c f. induction items as [|i items IH]; [rewrite !over_nil; ring|].
  rewrite !over_cons, IH. ring.
Qed.

Lemma over_plus : forall A (items : list A) f g, over items (fun i => f i + g i) = over items f + over items g.
Proof.
  intros A items f g. induction items as [|i items IH]; [rewrite !over_nil; ring|].
  rewrite !over_cons, IH. ring.
Qed.

Lemma over_zero : forall A (items : list A), over items (fun _ => 0) = 0.
Proof. intros A items. induction items as [|i items IH]; [reflexivity|]. rewrite over_cons, IH. ring. Qed.

Lemma over_swap : forall A B (one : list A) (other : list B) f,
  over one (fun i => over other (f i)) = over other (fun j => over one (fun i => f i j)).
Proof.
  intros A B one other f. induction one as [|i one IH].
  - rewrite over_nil. symmetry. apply over_zero.
  - rewrite over_cons, IH, <- over_plus. apply over_ext. intros j _. rewrite over_cons. reflexivity.
Qed.

Lemma dlim_over : forall A (items : list A) (f : A -> R -> R) z d,
  (forall i, In i items -> derivable_pt_lim (f i) z (d i)) ->
  derivable_pt_lim (fun s => over items (fun i => f i s)) z (over items d).
Proof.
  intros A items f z d. induction items as [|i items IH]; intros H; [exact (dlim_const 0 z)|].
  rewrite over_cons. apply (dlim_plus (f i) (fun s => over items (fun i => f i s))).
  - apply H. left. reflexivity.
  - apply IH. intros j J. apply H. right. exact J.
Qed.

Lemma length_both : forall A (one other : list A), length (one ++ other) = (length one + length other)%nat.
Proof. intros A one other. induction one as [|i one IH]; [reflexivity|]. simpl. rewrite IH. reflexivity. Qed.

Lemma length_flat : forall A B (g : A -> list B) items,
  length (flat_map g items) = list_sum (map (fun i => length (g i)) items).
Proof.
  intros A B g items. induction items as [|i items IH]; [reflexivity|].
  simpl. rewrite length_both, IH. reflexivity.
Qed.

(* Lists without repetition. *)
Lemma NoDup_both : forall A (one other : list A),
  NoDup one -> NoDup other -> (forall i, In i one -> ~ In i other) -> NoDup (one ++ other).
Proof.
  intros A one other U V Apart. induction U as [|i one N U IH]; [exact V|]. simpl. constructor.
  - intros I. apply in_app_or in I. destruct I as [I|I]; [contradiction|exact (Apart i (or_introl eq_refl) I)].
  - apply IH. intros j J. apply Apart. right. exact J.
Qed.

Lemma NoDup_map : forall A B (f : A -> B) items, (forall i j, f i = f j -> i = j) -> NoDup items -> NoDup (map f items).
Proof.
  intros A B f items Same U. induction U as [|i items N U IH]; [constructor|]. simpl. constructor; [|exact IH].
  intros I. apply in_map_iff in I. destruct I as [j [E J]]. apply Same in E. subst j. contradiction.
Qed.

Lemma NoDup_flat : forall A B (f : A -> list B) items, NoDup items -> (forall i, In i items -> NoDup (f i)) ->
  (forall i j b, In i items -> In j items -> In b (f i) -> In b (f j) -> i = j) -> NoDup (flat_map f items).
Proof.
  intros A B f items U Each Apart. induction U as [|i items N U IH]; [constructor|]. simpl. apply NoDup_both.
  - apply Each. left. reflexivity.
  - apply IH; [intros j J; apply Each; right; exact J|].
    intros j k b J K. apply Apart; right; assumption.
  - intros b I J. apply in_flat_map in J. destruct J as [j [J K]].
    assert (E : i = j) by (apply (Apart i j b); [left; reflexivity|right; exact J|exact I|exact K]).
    subst j. contradiction.
Qed.

(* The sum of n numbers, for counting. *)
Definition tally (n : nat) (f : nat -> nat) : nat := list_sum (map f (seq 0 n)).

Lemma tally_ext : forall n f g, (forall i, f i = g i) -> tally n f = tally n g.
Proof. intros n f g E. unfold tally. f_equal. apply map_ext. exact E. Qed.

Lemma tally_plus : forall n f g, tally n (fun i => f i + g i)%nat = (tally n f + tally n g)%nat.
Proof.
  intros n f g. unfold tally. induction (seq 0 n) as [|i items IH]; [reflexivity|].
  cbn [map list_sum fold_right] in *. unfold list_sum in IH. lia.
Qed.

Lemma tally_const : forall n c, tally n (fun _ => c) = (n * c)%nat.
Proof.
  intros n c. unfold tally. rewrite <- (seq_length n 0) at 2.
  induction (seq 0 n) as [|i items IH]; [reflexivity|]. cbn [map list_sum fold_right length] in *.
  unfold list_sum in IH. lia.
Qed.

Lemma tally_one : forall n r, (r < n)%nat -> tally n (fun i => if (i =? r)%nat then 1 else 0)%nat = 1%nat.
Proof.
  assert (Z : forall n r, (n <= r)%nat -> tally n (fun i => if (i =? r)%nat then 1 else 0)%nat = 0%nat).
  { intros n r L. induction n as [|n IH]; [reflexivity|]. unfold tally in *.
    rewrite seq_S, map_app, list_sum_app, IH by lia. cbn. destruct (Nat.eqb_spec n r); lia. }
  intros n r L. induction n as [|n IH]; [lia|].
  unfold tally in *. rewrite seq_S, map_app, list_sum_app. cbn. destruct (Nat.eqb_spec n r) as [E|E].
  - subst r. rewrite Z by lia. reflexivity.
  - rewrite IH by lia. reflexivity.
Qed.

(* The sum of f over a list of rows. *)
Definition through {A : Type} (f : nat -> A -> nat) (rows : list (A * nat)) : nat :=
  list_sum (map (fun row => let (M, k) := (row : A * nat) in f k M) rows).

Lemma through_nil : forall A (f : nat -> A -> nat), through f [] = 0%nat.
Proof. reflexivity. Qed.

Lemma through_cons : forall A (f : nat -> A -> nat) M k rows, through f ((M, k) :: rows) = (f k M + through f rows)%nat.
Proof. reflexivity. Qed.

Lemma through_app : forall A (f : nat -> A -> nat) one other,
  through f (one ++ other) = (through f one + through f other)%nat.
Proof. intros A f one other. unfold through. rewrite map_app. apply list_sum_app. Qed.

Lemma through_map : forall A (f : nat -> A -> nat) (M : nat -> A) k n,
  through f (map (fun j => (M j, k)) (seq 0 n)) = tally n (fun j => f k (M j)).
Proof. intros A f M k n. unfold through, tally. rewrite map_map. reflexivity. Qed.

(* What a number of paths is, in the place of the expression that a definition gives for it. *)
Ltac counted C :=
  lazymatch goal with
  | |- (let v := _ in @?rest v) = _ =>
      lazymatch type of C with ?c = _ => transitivity (rest c); [exact (f_equal rest (eq_sym C)) | cbv beta] end
  end.

(* If there are a t + b of something at step t, this is their number up to step T. *)
Lemma sum_of_affine : forall (f : nat -> nat) a b, (forall t, f (S t) = a * S t + b)%nat ->
  forall T, (2 * list_sum (map f (seq 1 T)) = a * T * (T + 1) + 2 * b * T)%nat.
Proof.
  intros f a b F T. induction T as [|T IH]; [simpl; lia|].
  rewrite seq_S, map_app, list_sum_app. cbn [map list_sum fold_right plus]. rewrite F. nia.
Qed.

(* A sum over steps with a lag, counted from its later or from its earlier end. *)
Lemma over_lag : forall T k (f : nat -> nat -> R),
  over (seq 1 T) (fun t => if k <? t then f t (t - k)%nat else 0) =
  over (seq 1 T) (fun s => if (s + k <=? T)%nat then f (s + k)%nat s else 0).
Proof.
  intros T k f. destruct (le_lt_dec T k) as [L|L].
  - rewrite (over_ext _ _ _ (fun _ => 0)), (over_ext _ _ (fun s => if (_ <=? T)%nat then _ else _) (fun _ => 0)).
    + reflexivity.
    + intros s I. apply in_seq in I. destruct (Nat.leb_spec (s + k) T); [lia|reflexivity].
    + intros t I. apply in_seq in I. destruct (Nat.ltb_spec k t); [lia|reflexivity].
  - assert (E : over (seq 1 T) (fun t => if k <? t then f t (t - k)%nat else 0) =
                over (seq 1 (T - k)) (fun s => f (s + k)%nat s)).
    { replace (seq 1 T) with (seq 1 k ++ seq (1 + k) (T - k)) by (rewrite <- seq_app; f_equal; lia).
      rewrite over_app, (over_ext _ (seq 1 k) _ (fun _ => 0)), over_zero, Rplus_0_l.
      - replace (seq (1 + k) (T - k)) with (map (fun s => (s + k)%nat) (seq 1 (T - k))).
        + rewrite over_map. apply over_ext. intros s I. apply in_seq in I.
          destruct (Nat.ltb_spec k (s + k)); [|lia]. f_equal. lia.
        + generalize (T - k)%nat as n. intros n. generalize 1%nat as a.
          induction n as [|n IH]; intros a; [reflexivity|].
          simpl. f_equal. rewrite IH. reflexivity.
      - intros t I. apply in_seq in I. destruct (Nat.ltb_spec k t); [lia|reflexivity]. }
    rewrite E. replace (seq 1 T) with (seq 1 (T - k) ++ seq (1 + (T - k)) k) by (rewrite <- seq_app; f_equal; lia).
    rewrite over_app, (over_ext _ (seq (1 + (T - k)) k) _ (fun _ => 0)), over_zero, Rplus_0_r.
    + apply over_ext. intros s I. apply in_seq in I. destruct (Nat.leb_spec (s + k) T); [reflexivity|lia].
    + intros s I. apply in_seq in I. destruct (Nat.leb_spec (s + k) T); [lia|reflexivity].
Qed.

(* Sums over the components 0 ... n - 1 of a vector. *)
Definition upto (n : nat) (f : nat -> R) : R := over (seq 0 n) f.

Lemma dlim_upto : forall n (f : R -> nat -> R) z d,
  (forall j, (j < n)%nat -> derivable_pt_lim (fun s => f s j) z (d j)) ->
  derivable_pt_lim (fun s => upto n (f s)) z (upto n d).
Proof.
  intros n f z d H. apply (dlim_over nat (seq 0 n) (fun j s => f s j)).
  intros j I. apply in_seq in I. apply H. lia.
Qed.

(* A row of a matrix times a column. *)
Lemma dlim_dot : forall n (w v : R -> nat -> R) z dw dv,
  (forall j, (j < n)%nat -> derivable_pt_lim (fun s => w s j) z (dw j)) ->
  (forall j, (j < n)%nat -> derivable_pt_lim (fun s => v s j) z (dv j)) ->
  derivable_pt_lim (fun s => upto n (fun j => w s j * v s j)) z
    (upto n (fun j => v z j * dw j) + upto n (fun j => w z j * dv j)).
Proof.
  intros n w v z dw dv Hw Hv. unfold upto. rewrite <- over_plus.
  apply (dlim_upto n (fun s j => w s j * v s j)). intros j J.
  eapply dlim_eq; [apply (dlim_mult (fun s => w s j) (fun s => v s j)); [apply Hw | apply Hv]; exact J | ring].
Qed.

Lemma upto_pull : forall n c f d, upto n (fun j => c * f j * d j) = c * upto n (fun j => f j * d j).
Proof. intros n c f d. unfold upto. rewrite <- over_scale. apply over_ext. intros j _. ring. Qed.

Lemma upto_push : forall n c f, c * upto n f = upto n (fun j => c * f j).
Proof. intros n c f. unfold upto. rewrite <- over_scale. reflexivity. Qed.

Lemma upto_split : forall n w f g,
  upto n (fun j => w j * (f j + g j)) = upto n (fun j => w j * f j) + upto n (fun j => w j * g j).
Proof. intros n w f g. unfold upto. rewrite <- over_plus. apply over_ext. intros j _. ring. Qed.

Lemma upto_none : forall n f, upto n (fun j => f j * 0) = 0.
Proof. intros n f. unfold upto. rewrite (over_ext _ _ _ (fun _ => 0)); [apply over_zero | intros; ring]. Qed.

Lemma over_indicator : forall (items : list nat) a f,
  NoDup items -> In a items -> over items (fun t => if (t =? a)%nat then f t else 0) = f a.
Proof.
  intros items a f. induction items as [|i items IH]; intros U I; [contradiction|].
  inversion U as [|? ? O U']; subst. rewrite over_cons. destruct I as [I|I].
  - subst i. rewrite Nat.eqb_refl, (over_ext _ _ _ (fun _ => 0)), over_zero; [ring|].
    intros j J. destruct (Nat.eqb_spec j a); [subst; contradiction|reflexivity].
  - rewrite IH by assumption. destruct (Nat.eqb_spec i a); [subst; contradiction|ring].
Qed.

(* Of a sum with one component moved, that component's term remains. *)
Lemma upto_one : forall n f (here : bool) c, (c < n)%nat ->
  upto n (fun j => f j * (if (here && (j =? c)%nat)%bool then 1 else 0)) = if here then f c else 0.
Proof.
  intros n f here c C. unfold upto. destruct here; simpl.
  - rewrite <- (over_indicator (seq 0 n) c f) at 1.
    + apply over_ext. intros j _. destruct (j =? c)%nat; ring.
    + apply seq_NoDup.
    + apply in_seq. lia.
  - apply (upto_none n f).
Qed.

Lemma dlim_if : forall (here : bool) c z, derivable_pt_lim (fun s => if here then s else c) z (if here then 1 else 0).
Proof. intros here c z. destruct here; [apply dlim_id | apply dlim_const]. Qed.

Lemma upto_here : forall n f c, (c < n)%nat -> upto n (fun j => f j * (if (j =? c)%nat then 1 else 0)) = f c.
Proof. intros n f c C. exact (upto_one n f true c C). Qed.

(* g is the gradient of a function f of n numbers at v: along every curve through v. *)
Definition gradient_at (n : nat) (f : (nat -> R) -> R) (v g : nat -> R) : Prop :=
  forall (u : R -> nat -> R) z d, u z = v ->
    (forall i, (i < n)%nat -> derivable_pt_lim (fun s => u s i) z (d i)) ->
    derivable_pt_lim (fun s => f (u s)) z (upto n (fun i => g i * d i)).

(* The derivative of one component of an expression in vectors. *)
Ltac derive_component :=
  cbv beta;
  lazymatch goal with
  | |- derivable_pt_lim (fun _ => ?c) _ _ => apply dlim_const
  | |- derivable_pt_lim (fun s => @?f s + @?g s) _ _ => apply (dlim_plus f g); derive_component
  | |- derivable_pt_lim (fun s => @?f s - @?g s) _ _ => apply (dlim_minus f g); derive_component
  | |- derivable_pt_lim (fun s => @?f s * @?g s) _ _ =>
      first [apply (dlim_scale (f 0) g) (* f is constant *) | apply (dlim_mult f g)]; derive_component
  | |- derivable_pt_lim (fun s => / (@?f s ^ S ?m)) _ _ => apply (dlim_inv_pow m f); [assumption|derive_component]
  | |- derivable_pt_lim (fun s => / (@?f s)) _ _ => apply (dlim_inv f); [assumption|derive_component]
  | |- derivable_pt_lim (fun s => (@?f s) ^ S ?m) _ _ => apply (dlim_pow m f); derive_component
  | |- derivable_pt_lim (fun s => upto ?n (fun j => @?w s j * @?v s j)) _ _ =>
      apply (dlim_dot n w v); intros; derive_component
  | |- derivable_pt_lim (fun s => upto ?n (@?f s)) _ _ => apply (dlim_upto n f); intros; derive_component
  | |- derivable_pt_lim (fun s => ?phi (@?f s)) _ _ =>
      first
        [ match goal with H : gradient_at _ _ _ _ |- _ => apply H; [reflexivity | assumption] end
        | solve [eauto 3]
        | apply (dlim_comp phi f); [derive_component | slope] ]
  | |- derivable_pt_lim _ _ _ => solve [eauto 3]
  end.

(* The same sums over components, written in two ways. *)
Ltac match_sums :=
  repeat match goal with
  | |- context [upto ?n ?f] =>
      match goal with
      | |- context [upto n ?g] =>
          tryif constr_eq f g then fail else
            replace (upto n f) with (upto n g) by (apply over_ext; intros; cbn [INR pow]; first [ring | field])
      end
  end.

Ltac same_components :=
  cbv beta; cbn [INR pow]; rewrite ?upto_pull;
  first
    [ ring
    | rewrite ?Rmult_plus_distr_l, ?Rmult_plus_distr_r, ?upto_split, ?upto_push; match_sums; same ].

(* The product of f over the steps after s up to t. *)
Definition between (s t : nat) (f : nat -> R) : R := fold_right Rmult 1 (map f (seq (S s) (t - s))).

Lemma between_none : forall t f, between t t f = 1.
Proof. intros t f. unfold between. rewrite Nat.sub_diag. reflexivity. Qed.

Lemma between_next : forall s t f, (s <= t)%nat -> between s (S t) f = f (S t) * between s t f.
Proof.
  intros s t f L. unfold between. replace (S t - s)%nat with (S (t - s)) by lia.
  rewrite seq_S, map_app. replace (S s + (t - s))%nat with (S t) by lia. cbn [map].
  generalize (map f (seq (S s) (t - s))). intros factors. induction factors as [|u factors IH]; simpl; [ring|].
  rewrite IH. ring.
Qed.

(* The lemma behind backpropagation through time: a_t = b_t + c_t a_{t-1} and a_0 = 0 give the sum over s of what
   enters at step s, times the factors after it. *)
Lemma unrolled_recursion : forall a b c : nat -> R, a 0%nat = 0 -> (forall t, a (S t) = b (S t) + c (S t) * a t) ->
  forall t, a t = over (seq 1 t) (fun s => between s t c * b s).
Proof.
  intros a b c Start Step t. induction t as [|t IH]; [exact Start|].
  rewrite Step, seq_S, over_app, over_cons, over_nil, IH. cbn [plus]. rewrite between_none, <- over_scale.
  rewrite (over_ext _ (seq 1 t) (fun s => between s (S t) c * b s) (fun s => c (S t) * (between s t c * b s))); [ring|].
  intros s I. apply in_seq in I. rewrite between_next by lia. ring.
Qed.

(* ----------------------------------------------- Part 3: networks --------------------------------------------- *)

(* What is known at a step: history k N is the quantity N, k steps back. *)
Definition history (name : Type) : Type := nat -> name -> R.

(* From the initial states and the equations of one step to every step. "step t past N" is N at step t, and
   "past (k - 1)" is what was known one step before: the quantities k steps back, counted from t. *)
Fixpoint run {name : Type} (initial : history name) (step : nat -> history name -> name -> R) (t : nat) :
  history name :=
  match t with
  | O => initial
  | S s => fun k N =>
      match k with
      | O => step (S s) (run initial step s) N
      | S j => run initial step s j N
      end
  end.

(* k steps back from step t stands step t - k, or an initial state. *)
Lemma run_back : forall name (initial : history name) step t k N,
  run initial step t k N = if k <? t then run initial step (t - k) 0%nat N else initial (k - t)%nat N.
Proof.
  intros name initial step t. induction t as [|s IH]; intros k N.
  - simpl. rewrite Nat.sub_0_r. reflexivity.
  - destruct k as [|j]; [reflexivity|]. simpl run at 1. rewrite IH. reflexivity.
Qed.

Lemma dlim_run : forall name (initial : R -> history name) step z t k N D before,
  derivable_pt_lim (fun s => initial s (k - t)%nat N) z before ->
  ((k < t)%nat -> derivable_pt_lim (fun s => run (initial s) (step s) (t - k) 0%nat N) z D) ->
  derivable_pt_lim (fun s => run (initial s) (step s) t k N) z (if k <? t then D else before).
Proof.
  intros name initial step z t k N D before Hb Hd.
  assert (E : forall s, run (initial s) (step s) t k N =
              if k <? t then run (initial s) (step s) (t - k) 0%nat N else initial s (k - t)%nat N)
    by (intros s; apply run_back).
  destruct (Nat.ltb_spec k t) as [L|L]; [specialize (Hd L)|clear Hd].
  - intros e He. destruct (Hd e He) as [d H]. exists d. intros j Nj Hj. rewrite !E. apply H; assumption.
  - intros e He. destruct (Hb e He) as [d H]. exists d. intros j Nj Hj. rewrite !E. apply H; assumption.
Qed.

(* Sums of sums over lists that are put together. *)
Lemma over_app_in : forall A B (items : list A) (one other : A -> list B) f,
  over items (fun i => over (one i ++ other i) (f i)) =
  over items (fun i => over (one i) (f i)) + over items (fun i => over (other i) (f i)).
Proof. intros. rewrite <- over_plus. apply over_ext. intros i _. apply over_app. Qed.

Lemma over_map_in : forall A B C (items : list A) (g : A -> C -> B) (inner : A -> list C) f,
  over items (fun i => over (map (g i) (inner i)) (f i)) =
  over items (fun i => over (inner i) (fun j => f i (g i j))).
Proof. intros. apply over_ext. intros i _. apply over_map. Qed.

Lemma over_one_in : forall A B (items : list A) (e : A -> B) f,
  over items (fun i => over [e i] (f i)) = over items (fun i => f i (e i)).
Proof. intros. apply over_ext. intros i _. rewrite over_cons, over_nil. ring. Qed.

Lemma over_nil_in : forall A B (items : list A) (f : A -> B -> R), over items (fun i => over [] (f i)) = 0.
Proof. intros. rewrite (over_ext _ _ _ (fun _ => 0)); [apply over_zero | reflexivity]. Qed.

(* That a component stands in a list of rows. *)
Ltac member :=
  first
    [ left; reflexivity
    | apply in_map_iff; eexists; split; [reflexivity | apply in_seq; lia]
    | apply in_or_app; left; member
    | apply in_or_app; right; member ].

(* Which component it is that stands in a list of rows; each is tried. *)
Ltac in_components I :=
  simpl in I;
  lazymatch type of I with
  | In _ (_ ++ _) => apply in_app_or in I; destruct I as [I | I]; in_components I
  | In _ (map _ _) =>
      let j := fresh "j" in let J := fresh "J" in
      apply in_map_iff in I; destruct I as [j [I J]]; apply in_seq in J; in_components I
  | _ \/ _ => destruct I as [I | I]; in_components I
  | False => contradiction
  | _ = _ => first [discriminate I | injection I; intros; subst]
  end.

(* That no row stands in a list twice. *)
Ltac no_row_twice :=
  lazymatch goal with
  | |- NoDup (_ ++ _) =>
      let M := fresh "M" in let k := fresh "k" in let I := fresh "I" in let J := fresh "J" in
      apply NoDup_both; [no_row_twice | no_row_twice | intros [M k] I J; in_components I; in_components J]
  | |- NoDup (map _ _) => apply NoDup_map; [intros; congruence | apply seq_NoDup]
  | |- NoDup (_ :: _) => constructor; [intros I; simpl in I; intuition discriminate | no_row_twice]
  | |- NoDup [] => constructor
  end.

(* Which row it is that stands in a list of rows; each is tried. *)
Ltac in_rows I :=
  simpl in I;
  repeat (destruct I as [I | I]; [first [discriminate I | injection I as <-; simpl; lia] |]);
  contradiction.

(* ------------------------------------------------ Part 4: paths ----------------------------------------------- *)

Section Paths.

(* A table of local derivatives. A row (M, k) of N says that the equation of N at step t mentions M at step t - k; its
   entry is the immediate partial "weight t N M k". Where the equation mentions what L is differentiated by,
   "enters t N" holds and the immediate partial is "entry t N". *)
Variable name : Type.
Variable rows : name -> list (name * nat).
Variable weight : nat -> name -> name -> nat -> R.
Variable enters : nat -> name -> bool.
Variable entry : nat -> name -> R.

(* Within a step the equations have an order: what an equation reads stands less deep than what it defines. *)
Variable depth : name -> nat.
Variable height : nat.
Hypothesis depth_height : forall N, (depth N < height)%nat.
Hypothesis depth_rows : forall N M, In (M, 0%nat) (rows N) -> (depth M < depth N)%nat.

(* A path is the list of the quantities that it visits, with their steps. *)
Definition path : Type := list (name * nat).

(* All paths from N at step t: they end here, if the equation of N mentions the goal, or pass on by a row. The first
   argument only bounds the length, so that Coq sees an end. *)
Fixpoint walks (length t : nat) (N : name) : list path :=
  match length with
  | O => []
  | S shorter =>
      (if enters t N then [[(N, t)]] else []) ++
      flat_map
        (fun row =>
           let (M, k) := (row : name * nat) in
           if k <? t then map (cons (N, t)) (walks shorter (t - k) M) else [])
        (rows N)
  end.

Definition longest (t : nat) (N : name) : nat := t * height + depth N.

Definition paths (t : nat) (N : name) : list path := walks (S (longest t N)) t N.

(* The ordered product along a path: the entries of its rows, then the immediate partial by the goal. *)
Fixpoint product (p : path) : R :=
  match p with
  | [] => 0
  | (N, t) :: rest =>
      match rest with
      | [] => entry t N
      | (M, s) :: _ => weight t N M (t - s) * product rest
      end
  end.

Lemma longest_row : forall t N M k, In (M, k) (rows N) -> (k < t)%nat -> (longest (t - k) M < longest t N)%nat.
Proof.
  intros t N M k I L. unfold longest. assert (B := depth_height M).
  destruct k as [|k]; [rewrite Nat.sub_0_r; assert (D := depth_rows N M I); lia|].
  destruct t as [|t]; [lia|]. replace (S t - S k)%nat with (t - k)%nat by lia. nia.
Qed.

(* A longer bound finds no further path. *)
Lemma walks_enough : forall n t N, (longest t N < n)%nat -> walks n t N = paths t N.
Proof.
  intros n. induction n as [n IH] using lt_wf_ind. intros t N L.
  destruct n as [|n]; [lia|]. unfold paths. simpl walks. f_equal.
  rewrite !flat_map_concat_map. f_equal. apply map_ext_in. intros [M k] I.
  destruct (Nat.ltb_spec k t) as [K|K]; [|reflexivity]. f_equal.
  assert (S := longest_row t N M k I K).
  rewrite (IH n (Nat.lt_succ_diag_r n)) by lia.
  destruct (le_lt_dec n (longest t N)) as [G|G]; [symmetry; apply IH; lia|].
  symmetry. apply IH; lia.
Qed.

(* Every path ends here or passes on by a row. *)
Lemma paths_split : forall t N,
  paths t N =
  (if enters t N then [[(N, t)]] else []) ++
  flat_map
    (fun row => let (M, k) := (row : name * nat) in if k <? t then map (cons (N, t)) (paths (t - k) M) else [])
    (rows N).
Proof.
  intros t N. unfold paths at 1. simpl walks. f_equal.
  rewrite !flat_map_concat_map. f_equal. apply map_ext_in. intros [M k] I.
  destruct (Nat.ltb_spec k t) as [K|K]; [|reflexivity]. f_equal.
  apply walks_enough. exact (longest_row t N M k I K).
Qed.

(* The number of paths from N, k steps back from step t; before step 1 there is none. *)
Definition number (t k : nat) (N : name) : nat := if k <? t then length (paths (t - k) N) else 0%nat.

Lemma number_step : forall t k N, number (S t) (S k) N = number t k N.
Proof. reflexivity. Qed.

Lemma paths_length : forall t N,
  length (paths t N) =
  ((if enters t N then 1 else 0) + through (number t) (rows N))%nat.
Proof.
  intros t N. rewrite paths_split, length_both, length_flat.
  f_equal; [destruct (enters t N); reflexivity|]. unfold through. f_equal. apply map_ext. intros [M k].
  unfold number. destruct (k <? t); [apply map_length|reflexivity].
Qed.

(* The list has every path: what begins at N, goes on by rows and ends where the goal is mentioned. *)
Inductive is_path : nat -> name -> path -> Prop :=
| ends t N : enters t N = true -> is_path t N [(N, t)]
| passes_on t N M k p : In (M, k) (rows N) -> (k < t)%nat -> is_path (t - k) M p -> is_path t N ((N, t) :: p).

Theorem paths_complete : forall t N p, In p (paths t N) <-> is_path t N p.
Proof.
  intros t N p. split.
  - unfold paths. generalize (S (longest t N)) as n. intros n. revert t N p.
    induction n as [|n IH]; intros t N p I; [contradiction|].
    simpl in I. apply in_app_or in I. destruct I as [I|I].
    + destruct (enters t N) eqn:E; [|contradiction]. destruct I as [I|[]]. subst p. exact (ends t N E).
    + apply in_flat_map in I. destruct I as [[M k] [R I]]. destruct (Nat.ltb_spec k t) as [K|K]; [|contradiction].
      apply in_map_iff in I. destruct I as [q [E Q]]. subst p. exact (passes_on t N M k q R K (IH _ _ _ Q)).
  - intros P. induction P as [t N E|t N M k p R K P IH]; rewrite paths_split; apply in_or_app.
    + left. rewrite E. left. reflexivity.
    + right. apply in_flat_map. exists (M, k). split; [exact R|].
      destruct (Nat.ltb_spec k t) as [_|B]; [apply in_map; exact IH | lia].
Qed.

(* The first quantity of a path is the one that it starts from. *)
Lemma paths_start : forall n t N p, In p (walks n t N) -> exists rest, p = (N, t) :: rest.
Proof.
  intros n t N p I. destruct n as [|n]; [contradiction|]. simpl in I. apply in_app_or in I. destruct I as [I|I].
  - destruct (enters t N); [|contradiction]. destruct I as [I|[]]. exists []. symmetry. exact I.
  - apply in_flat_map in I. destruct I as [[M k] [_ I]]. destruct (k <? t); [|contradiction].
    apply in_map_iff in I. destruct I as [q [E _]]. exists q. symmetry. exact E.
Qed.

(* If no equation has a row twice, no path is listed twice. *)
Theorem paths_once : (forall N, NoDup (rows N)) -> forall t N, NoDup (paths t N).
Proof.
  intros Once t N. unfold paths. generalize (S (longest t N)) as n. intros n. revert t N.
  induction n as [|n IH]; intros t N; [constructor|]. simpl walks. apply NoDup_both.
  - destruct (enters t N); repeat constructor. intros [].
  - apply NoDup_flat; [exact (Once N)| |].
    + intros [M k] _. destruct (k <? t); [|constructor].
      apply NoDup_map; [intros p q E; inversion E; reflexivity|apply IH].
    + intros [M k] [M' k'] p _ _ I J. destruct (Nat.ltb_spec k t) as [K|K]; [|contradiction].
      destruct (Nat.ltb_spec k' t) as [K'|K']; [|contradiction].
      apply in_map_iff in I. destruct I as [q [E Q]]. apply in_map_iff in J. destruct J as [q' [E' Q']].
      destruct (paths_start _ _ _ _ Q) as [rest F]. destruct (paths_start _ _ _ _ Q') as [rest' F'].
      subst p q q'. injection E' as E1 E2 _. subst M'. f_equal. lia.
  - intros p I J. apply in_flat_map in J. destruct J as [[M k] [_ J]]. destruct (k <? t); [|contradiction].
    apply in_map_iff in J. destruct J as [q [E Q]]. destruct (paths_start _ _ _ _ Q) as [rest F].
    destruct (enters t N); [|contradiction]. destruct I as [I|[]]. congruence.
Qed.

(* The sum of all products from N at step t. *)
Definition along (t : nat) (N : name) : R := over (paths t N) product.

(* The sum over paths obeys the chain rule: a_t = b_t + c_t a_{t-1}, for every quantity of every step. *)
Lemma along_split : forall t N,
  along t N =
  (if enters t N then entry t N else 0) +
  over (rows N) (fun row => let (M, k) := row in if k <? t then weight t N M k * along (t - k) M else 0).
Proof.
  intros t N. unfold along at 1. rewrite paths_split, over_app. f_equal.
  - destruct (enters t N); [|reflexivity]. rewrite over_cons, over_nil. simpl. ring.
  - rewrite over_flat_map. apply over_ext. intros [M k] I. destruct (Nat.ltb_spec k t) as [K|K]; [|reflexivity].
    rewrite over_map. unfold along. rewrite <- over_scale. apply over_ext. intros p P.
    destruct (paths_start _ _ _ _ P) as [rest E]. rewrite E. cbn [product]. f_equal. f_equal. lia.
Qed.

(* ------------------------------------------------ Part 5: the theorem ----------------------------------------- *)

(* The values of all quantities at all steps, as functions of what L is differentiated by. *)
Variable value : R -> nat -> name -> R.
Variable z : R.
Variable T : nat.

(* The quantities that there are: with everything they contain all that it is computed from. (For vectors of n
   components a name carries an index, and only the indices below n are meant.) *)
Variable proper : name -> Prop.
Hypothesis proper_rows : forall N M k, proper N -> In (M, k) (rows N) -> proper M.

(* The local condition, at the steps 1 ... T and at the visited point z alone: every equation turns the derivatives D
   of what it reads into the derivative of what it defines, by the entries of the table. *)
Hypothesis local : forall t N (D : nat -> name -> R),
  proper N -> (1 <= t <= T)%nat ->
  (forall M k, In (M, k) (rows N) -> (k < t)%nat ->
     derivable_pt_lim (fun s => value s (t - k) M) z (D (t - k)%nat M)) ->
  derivable_pt_lim (fun s => value s t N) z
    ((if enters t N then entry t N else 0) +
     over (rows N) (fun row => let (M, k) := row in if k <? t then weight t N M k * D (t - k)%nat M else 0)).

(* The sum over paths is the derivative of every quantity, at every step. By induction over the order of computation:
   the local condition, with the sums over paths for D, gives exactly the right-hand side of along_split. *)
Theorem paths_are_the_derivative : forall t N,
  proper N -> (1 <= t <= T)%nat -> derivable_pt_lim (fun s => value s t N) z (along t N).
Proof.
  enough (P : forall n t N, (longest t N < n)%nat -> proper N -> (1 <= t <= T)%nat ->
              derivable_pt_lim (fun s => value s t N) z (along t N)).
  { intros t N. exact (P (S (longest t N)) t N (Nat.lt_succ_diag_r _)). }
  intros n. induction n as [|n IH]; intros t N L P B; [lia|].
  rewrite along_split. apply local; [exact P|exact B|]. intros M k I K.
  apply IH; [|exact (proper_rows N M k P I)|lia]. assert (S := longest_row t N M k I K). lia.
Qed.

(* L is the sum of the quantity "loss" over some steps. *)
Variable loss : name.
Hypothesis proper_loss : proper loss.
Variable steps : list nat.
Hypothesis steps_range : forall t, In t steps -> (1 <= t <= T)%nat.

Definition loss_paths : list path := flat_map (fun t => paths t loss) steps.

Theorem loss_paths_are_the_derivative :
  derivable_pt_lim (fun s => over steps (fun t => value s t loss)) z (over loss_paths product).
Proof.
  unfold loss_paths. rewrite over_flat_map. apply (dlim_over nat steps (fun t s => value s t loss)).
  intros t I. apply paths_are_the_derivative; [exact proper_loss|exact (steps_range t I)].
Qed.

Theorem loss_paths_complete : forall p, In p loss_paths <-> exists t, In t steps /\ is_path t loss p.
Proof.
  intros p. unfold loss_paths. rewrite in_flat_map. split; intros [t [I P]]; exists t; split; try exact I.
  - apply paths_complete. exact P.
  - apply paths_complete. exact P.
Qed.

Theorem loss_paths_once : (forall N, NoDup (rows N)) -> NoDup steps -> NoDup loss_paths.
Proof.
  intros Once U. apply NoDup_flat; [exact U|intros t _; apply paths_once; exact Once|].
  intros t s p _ _ I J. destruct (paths_start _ _ _ _ I) as [rest E]. destruct (paths_start _ _ _ _ J) as [rest' E'].
  subst p. injection E' as E' _. exact E'.
Qed.

(* --------------------------------------------- Part 6: the adjoint recursion ---------------------------------- *)

(* The rows once more, read from their other end: (N, k) is a head of M where (M, k) is a row of N. *)
Variable names : list name.
Variable heads : name -> list (name * nat).
Variable is_loss : name -> bool.
Hypothesis heads_rows : forall f : name -> name -> nat -> R,
  over names (fun N => over (rows N) (fun row => let (M, k) := row in f N M k)) =
  over names (fun M => over (heads M) (fun head => let (N, k) := head in f N M k)).
Hypothesis depth_heads : forall M N, In (N, 0%nat) (heads M) -> (depth M < depth N)%nat.
Hypothesis only_loss : forall f : name -> R, over names (fun N => if is_loss N then f N else 0) = f loss.
Hypothesis steps_once : NoDup steps.

Definition seed (t : nat) (M : name) : R := if is_loss M then (if existsb (Nat.eqb t) steps then 1 else 0) else 0.

(* The adjoint of M at step t: its own share in L, and what every head of M up to step T passes back. *)
Fixpoint pass_back (length t : nat) (M : name) : R :=
  match length with
  | O => 0
  | S shorter =>
      seed t M +
      over (heads M) (fun head =>
        let (N, k) := head in
        if (t + k <=? T)%nat then pass_back shorter (t + k) N * weight (t + k) N M k else 0)
  end.

Definition remaining (t : nat) (M : name) : nat := (T - t) * height + (height - depth M).

Definition adjoint (t : nat) (M : name) : R := pass_back (S (remaining t M)) t M.

Lemma pass_back_enough : forall n t M, (remaining t M < n)%nat -> pass_back n t M = adjoint t M.
Proof.
  intros n. induction n as [n IH] using lt_wf_ind. intros t M L.
  destruct n as [|n]; [lia|]. unfold adjoint. simpl pass_back. f_equal.
  apply over_ext. intros [N k] I. destruct (Nat.leb_spec (t + k) T) as [K|K]; [|reflexivity]. f_equal.
  assert (S : (remaining (t + k) N < remaining t M)%nat).
  { unfold remaining. assert (B := depth_height N). assert (C := depth_height M).
    destruct k as [|k]; [rewrite Nat.add_0_r; assert (D := depth_heads M N I); lia|].
    replace (T - t)%nat with (S k + (T - (t + S k)))%nat by lia. nia. }
  rewrite (IH n (Nat.lt_succ_diag_r n)) by lia.
  symmetry. apply IH; lia.
Qed.

Theorem adjoint_recursion : forall t M,
  adjoint t M =
  seed t M +
  over (heads M) (fun head =>
    let (N, k) := head in if (t + k <=? T)%nat then adjoint (t + k) N * weight (t + k) N M k else 0).
Proof.
  intros t M. unfold adjoint at 1. simpl pass_back. f_equal. apply over_ext. intros [N k] I.
  destruct (Nat.leb_spec (t + k) T) as [K|K]; [|reflexivity]. f_equal. apply pass_back_enough.
  unfold remaining. assert (B := depth_height N). assert (C := depth_height M).
  destruct k as [|k]; [rewrite Nat.add_0_r; assert (D := depth_heads M N I); lia|].
  replace (T - t)%nat with (S k + (T - (t + S k)))%nat by lia. nia.
Qed.

(* A sum over all quantities of all steps. *)
Definition everywhere (f : nat -> name -> R) : R := over (seq 1 T) (fun t => over names (f t)).

Lemma everywhere_ext : forall f g,
  (forall t N, (1 <= t <= T)%nat -> f t N = g t N) -> everywhere f = everywhere g.
Proof. intros f g E. apply over_ext. intros t I. apply in_seq in I. apply over_ext. intros N _. apply E. lia. Qed.

Lemma everywhere_plus : forall f g, everywhere (fun t N => f t N + g t N) = everywhere f + everywhere g.
Proof.
  intros f g. unfold everywhere. rewrite <- over_plus. apply over_ext. intros t _. apply over_plus.
Qed.

(* Every row of every step, summed from its head or from its tail. *)
Lemma rows_both_ways : forall f : nat -> nat -> name -> name -> nat -> R,
  everywhere (fun t N => over (rows N) (fun row =>
    let (M, k) := row in if k <? t then f t (t - k)%nat N M k else 0)) =
  everywhere (fun s M => over (heads M) (fun head =>
    let (N, k) := head in if (s + k <=? T)%nat then f (s + k)%nat s N M k else 0)).
Proof.
  intros f. unfold everywhere. rewrite (over_swap _ _ (seq 1 T) names), (over_swap _ _ (seq 1 T) names).
  rewrite (over_ext _ names _ (fun N => over (rows N) (fun row =>
    let (M, k) := row in over (seq 1 T) (fun t => if k <? t then f t (t - k)%nat N M k else 0)))).
  2:{ intros N _. rewrite over_swap. apply over_ext. intros [M k] _. reflexivity. }
  rewrite heads_rows. apply over_ext. intros M _. rewrite over_swap. apply over_ext. intros [N k] _.
  apply (over_lag T k (fun t s => f t s N M k)).
Qed.

Lemma over_steps : forall f : nat -> R,
  over (seq 1 T) (fun t => if existsb (Nat.eqb t) steps then f t else 0) = over steps f.
Proof.
  intros f. revert steps_range steps_once. clear. induction steps as [|a rest IH]; intros Range Once.
  - simpl. apply over_zero.
  - inversion Once as [|? ? O U]; subst. rewrite over_cons.
    rewrite <- (over_indicator (seq 1 T) a f) at 1.
    + rewrite <- IH; [|intros t I; apply Range; right; exact I|exact U].
      rewrite <- over_plus. apply over_ext. intros t _. simpl. destruct (Nat.eqb_spec t a) as [E|E]; simpl; [|ring].
      subst t. destruct (existsb (Nat.eqb a) rest) eqn:X; [|ring].
      apply existsb_exists in X. destruct X as [b [I E]]. apply Nat.eqb_eq in E. subst b. contradiction.
    + apply seq_NoDup.
    + assert (R := Range a (or_introl eq_refl)). apply in_seq. lia.
Qed.

(* Backpropagation: the adjoints times the immediate partials by the goal, summed over all entries, are the sum over
   all paths; the paths have only been gathered by their last quantity instead of their first. *)
Theorem adjoint_is_the_sum_over_paths :
  everywhere (fun t N => if enters t N then adjoint t N * entry t N else 0) = over loss_paths product.
Proof.
  assert (A : everywhere (fun t N => adjoint t N * along t N) =
              everywhere (fun t N => if enters t N then adjoint t N * entry t N else 0) +
              everywhere (fun t N => over (rows N) (fun row => let (M, k) := row in
                if k <? t then adjoint t N * weight t N M k * along (t - k) M else 0))).
  { rewrite <- everywhere_plus. apply everywhere_ext. intros t N _. rewrite along_split.
    rewrite Rmult_plus_distr_l, <- over_scale. f_equal; [destruct (enters t N); ring|].
    apply over_ext. intros [M k] _. destruct (k <? t); ring. }
  assert (B : everywhere (fun s M => adjoint s M * along s M) =
              everywhere (fun s M => seed s M * along s M) +
              everywhere (fun s M => over (heads M) (fun head => let (N, k) := head in
                if (s + k <=? T)%nat then adjoint (s + k) N * weight (s + k) N M k * along s M else 0))).
  { rewrite <- everywhere_plus. apply everywhere_ext. intros s M _. rewrite adjoint_recursion at 1.
    rewrite Rmult_plus_distr_r. f_equal. rewrite Rmult_comm, <- over_scale.
    apply over_ext. intros [N k] _. destruct (s + k <=? T)%nat; ring. }
  assert (C : everywhere (fun s M => seed s M * along s M) = over loss_paths product).
  { unfold loss_paths. rewrite over_flat_map. unfold everywhere.
    rewrite <- (over_steps (fun t => over (paths t loss) product)). apply over_ext. intros t _.
    rewrite (over_ext _ names _ (fun M =>
      if is_loss M then (if existsb (Nat.eqb t) steps then along t M else 0) else 0)).
    - exact (only_loss (fun M => if existsb (Nat.eqb t) steps then along t M else 0)).
    - intros M _. unfold seed. destruct (is_loss M), (existsb (Nat.eqb t) steps); ring. }
  rewrite (rows_both_ways (fun t s N M k => adjoint t N * weight t N M k * along s M)) in A.
  rewrite C in B. lra.
Qed.

End Paths.

Arguments paths {name}.
Arguments number {name}.
Arguments is_path {name}.
Arguments loss_paths {name}.
Arguments product {name}.
Arguments along {name}.
Arguments adjoint {name}.
Arguments everywhere {name}.
