r"""The article's claims as data: for each its quotation, what was computed about it, and the verdict that follows.

The article derives ∂L/∂W_x of a three-step recurrent network by hand. Its steps are gone through in its own
order. No language and no format is known here; `render.article_document` writes the text.
"""

from __future__ import annotations

from rnn_symbolic.article import forward_claims, path_claims, size_claims
from rnn_symbolic.article.records import Check, Claim, Fact, Formula, Line, Method, Route, Tally, Verdict, Word, counted

__all__ = [
    "Check",
    "Claim",
    "Fact",
    "Formula",
    "Line",
    "Method",
    "Route",
    "Tally",
    "Verdict",
    "Word",
    "counted",
    "study_article",
]


def study_article(seed: int = 0) -> tuple[Claim, ...]:
    """Every claim of the article in its own order, with evidence computed now; ``seed`` draws the random points.

    >>> [claim.verdict.value for claim in study_article()[:3]]
    ['holds', 'holds', 'holds']
    """
    return (
        forward_claims.forward_claim(),
        forward_claims.shared_claim(),
        forward_claims.total_loss_claim(),
        forward_claims.state_gradient_claim(),
        forward_claims.three_gradients_claim(),
        path_claims.three_paths_claim(),
        path_claims.sum_claim(seed),
        path_claims.factor_claim(seed),
        size_claims.matrices_claim(),
        size_claims.small_weight_claim(),
        size_claims.first_input_claim(),
        size_claims.long_text_claim(seed),
        size_claims.large_weight_claim(),
        size_claims.literal_sigma_claim(),
        size_claims.eighty_claim(),
        size_claims.one_more_step_claim(),
        path_claims.recurrent_weight_claim(),
        path_claims.output_weight_claim(),
    )
