"""JSON schemas of everything the command line writes. What stands here is the contract; more keys are allowed."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

NUMBER: Schema = {"anyOf": [{"type": "number"}, {"enum": ["inf", "-inf", "nan"]}]}
"""A float; JSON has no inf and no nan, so these are strings."""
MAYBE_NUMBER: Schema = {"anyOf": [{"type": "null"}, NUMBER]}
SIGN: Schema = {"enum": [-1, 0, 1]}
NOTHING: Schema = {"type": "null"}
TEXT: Schema = {"type": "string", "minLength": 1}
STEP: Schema = {"type": "integer", "minimum": 1}
COUNT: Schema = {"type": "integer", "minimum": 0}


def record(optional: Schema | None = None, **required: Any) -> Schema:
    """An object with these keys; others may be added to it later."""
    return {
        "type": "object",
        "required": list(required),
        "properties": {**required, **(optional or {})},
    }


def array(items: Schema, least: int = 0) -> Schema:
    return {"type": "array", "items": items, "minItems": least}


def one_of(*schemas: Schema) -> Schema:
    return {"anyOf": list(schemas)}


VECTOR = array(NUMBER, 1)
ARRAY: Schema = one_of(NUMBER, VECTOR, array(VECTOR, 1))
"""In matrix form: a number, a vector (flat), or a matrix (a list of rows; with a batch, of samples)."""


def mapping(values: Schema) -> Schema:
    return {"type": "object", "additionalProperties": values}


def document(optional: Schema | None = None, **required: Any) -> Schema:
    return record(optional, schema_version={"const": 1}, **required)


AMOUNT = {"value": one_of(NOTHING, ARRAY), "log10": MAYBE_NUMBER, "sign": one_of(NOTHING, SIGN)}
ROUTE = array(TEXT, 2)
PATH = record(
    route=ROUTE,
    loss_step=STEP,
    entry_step=STEP,
    lag={"type": "integer", "minimum": 0},
    latex=TEXT,
    **AMOUNT,
)
_SURVEY = {
    "wrt": TEXT,
    "count": COUNT,
    "total": one_of(NOTHING, ARRAY),
    "total_log10": MAYBE_NUMBER,
    "total_sign": one_of(NOTHING, SIGN),
}


def groups(by: str, key: Schema) -> Schema:
    return document(groups=array(record(**{by: key}, count={"type": "integer", "minimum": 1}, **AMOUNT)), **_SURVEY)


PATHS = document(paths=array(PATH), **_SURVEY)
PATHS_COUNTED = document(**_SURVEY)
PATHS_BY = {
    "lag": groups("lag", {"type": "integer", "minimum": 0}),
    "loss": groups("loss", STEP),
    "route": groups("route", {"type": "string"}),
}

GRADIENT_SCALAR = document(
    loss=NUMBER,
    gradients=mapping(NUMBER),
    input_gradients=array(NUMBER),
    states=mapping(array(NUMBER, 1)),
    outputs=array(NUMBER, 1),
    log10=mapping(NUMBER),
    sign=mapping(SIGN),
    input_log10=array(NUMBER),
    input_sign=array(SIGN),
)
_OVER_TIME = array(one_of(VECTOR, array(VECTOR, 1)), 1)
GRADIENT_MATRIX = document(
    loss=NUMBER,
    gradients=mapping(ARRAY),
    input_gradients=array(one_of(VECTOR, array(VECTOR, 1))),
    states=mapping(array(ARRAY, 1)),
    outputs=_OVER_TIME,
    log10=mapping(NUMBER),
    sign=mapping(one_of(NOTHING, SIGN)),
    input_log10=array(NUMBER),
    input_sign=array(NOTHING),
)
GRADIENT = one_of(GRADIENT_SCALAR, GRADIENT_MATRIX)

CHECK = document(
    passed={"type": "boolean"},
    verdicts=array(
        record(
            wrt=TEXT,
            where=one_of({"type": "null"}, TEXT),
            method=TEXT,
            at=TEXT,
            symbolic=NUMBER,
            numeric=NUMBER,
            error=NUMBER,
            tolerance=NUMBER,
            status={"enum": ["passed", "failed", "inconclusive"]},
            note={"type": "string"},
        ),
        1,
    ),
)

_VERIFICATION = record(
    passed={"type": "boolean"},
    seed={"type": "integer", "minimum": 0},
    findings=array(
        record(
            check={"enum": ["structure", "lines", "gradient", "adjoint", "count", "sympy"]},
            status={"enum": ["passed", "failed", "skipped"]},
            number=COUNT,
            skipped=COUNT,
            error=NUMBER,
            detail={"type": "string"},
        ),
        1,
    ),
)
_DERIVATION = {
    "goal": TEXT,
    "steps": array(record(rule=TEXT, latex=TEXT, text=TEXT, reason=TEXT, section=TEXT), 1),
    "result": record(latex=TEXT, text=TEXT, paths=COUNT),
    "verification": _VERIFICATION,
}
DERIVE = document(**_DERIVATION)
DERIVE_SEVERAL = document(derivations=array(record(**_DERIVATION), 2))

_PROOF_FINDING = record(
    check={"enum": ["structure", "symbolic", "words", "numbers", "derivation", "counts", "slopes", "sympy"]},
    status={"enum": ["passed", "failed", "skipped"]},
    number=COUNT,
    error=NUMBER,
    detail={"type": "string"},
)
_PROOF = {
    **_DERIVATION,
    "steps": array(
        record(
            theorem=TEXT,
            number=STEP,
            part=TEXT,
            rule=TEXT,
            latex=TEXT,
            text=TEXT,
            reason=TEXT,
            range={"type": "string"},
            given=one_of(NOTHING, TEXT),
        ),
        1,
    ),
    "theorems": array(
        record(
            theorem=TEXT,
            number=STEP,
            statement=array(record(latex=TEXT, text=TEXT), 1),
            hypotheses=array(record(latex=TEXT, text=TEXT)),
            gamma=array(record(function=TEXT, gamma=TEXT)),
            remarks=array(TEXT),
        ),
        1,
    ),
    "result": record(latex=TEXT, text=TEXT),
    "paths": TEXT,
    "verification": record(passed={"type": "boolean"}, seed=COUNT, steps=STEP, findings=array(_PROOF_FINDING, 1)),
}
PROVE = document(**_PROOF)
PROVE_SEVERAL = document(derivations=array(record(**_PROOF), 2))

_JACOBIAN = {"state": array(TEXT, 1), "lag": STEP, "steps": STEP}
JACOBIAN = document(
    **_JACOBIAN,
    value=NOTHING,
    blocks=array(
        record(
            of=TEXT,
            wrt=TEXT,
            lag=STEP,
            shape=one_of(NOTHING, {"type": "array", "items": TEXT, "minItems": 2, "maxItems": 2}),
            name=TEXT,
            latex=TEXT,
            text=TEXT,
            expanded=TEXT,
        ),
        1,
    ),
    highways=array(record(state=TEXT, latex=TEXT, text=TEXT)),
    lines=array(record(rule=TEXT, latex=TEXT, text=TEXT), 1),
)
JACOBIAN_VALUE = document(**_JACOBIAN, value=array(VECTOR, 1))
JACOBIAN_COUNTED = document(
    **_JACOBIAN, value=NOTHING, count=COUNT, counts=array(record(of=TEXT, wrt=TEXT, count=COUNT), 1)
)

ARTICLE = document(
    claims=array(
        record(
            id={"type": "string", "pattern": "^[a-z0-9.-]+$"},
            claim=TEXT,
            verdict={"enum": ["holds", "holds under a condition", "needs correction"]},
            statement=TEXT,
            evidence=array(record(name=TEXT, value={})),
        ),
        1,
    ),
)

CELLS = document(cells=array(record(name=TEXT, text=TEXT), 1))
SHAPES = document(cells=array(record(name=TEXT, shapes=mapping(TEXT)), 1))

_AUDIT_FACT = record(code=TEXT, numbers=array(NUMBER), text=TEXT)
_AUDIT_USUAL = record(passed={"type": "boolean"}, error=NUMBER, tolerance=NUMBER)
AUDIT_KINDS = (
    "missing-paths missing-loss missing-own-loss missing-carry missing-route transpose order activation-argument"
    " wrong-activation index initial-state scale output-derivative truncated clipped layout sign convention several"
    " unknown"
).split()
AUDIT = document(
    verdict={"enum": ["correct", "wrong", "inconclusive"]},
    findings=array(
        record(
            wrt=TEXT,
            status={"enum": ["right", "wrong", "inconclusive"]},
            kind={"enum": [None, *AUDIT_KINDS]},
            detail=TEXT,
            yours=one_of(NOTHING, TEXT),
            right=one_of(NOTHING, {"type": "string"}),
            evidence=record(
                {
                    "reproduced": MAYBE_NUMBER,
                    "same": array({"enum": AUDIT_KINDS}),
                    "rules": array(record(rule=TEXT, text=TEXT)),
                    "mistakes": array(
                        record(kind={"enum": AUDIT_KINDS}, code=TEXT, about=array(TEXT), places=array(TEXT))
                    ),
                    "sides": array(
                        record(
                            term=one_of(NOTHING, TEXT),
                            route=one_of(NOTHING, ROUTE),
                            latex=record(
                                left={"type": "string"}, yours=TEXT, right_left={"type": "string"},
                                right={"type": "string"},
                            ),
                        )
                    ),
                    "instance": one_of(
                        NOTHING,
                        record(
                            steps=STEP, sizes=mapping(STEP), values={"type": "object"}, yours=one_of(NOTHING, ARRAY),
                            right=one_of(NOTHING, ARRAY),
                        ),
                    ),
                },
                error=NUMBER,
                points=STEP,
                note=one_of(NOTHING, TEXT),
                facts=array(_AUDIT_FACT),
                usual_check=one_of(NOTHING, _AUDIT_USUAL),
            ),
        ),
        1,
    ),
    would_pass_usual_check=one_of(NOTHING, {"type": "boolean"}),
    source={"enum": ["formula", "gradients", "code"]},
    cell=TEXT,
    form={"enum": ["scalar", "matrix"]},
    notes=array(_AUDIT_FACT),
)  # fmt: skip
