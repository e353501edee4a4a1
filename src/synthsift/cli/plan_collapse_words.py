"""The numbers of a collapse plan as advice: sentences that each carry the number they rest on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synthsift.cli.plan_phrases import about
from synthsift.report.wording import signed

#: A best width is told where the smallest and the biggest model looked at are worse by more than this share.
WORSE_WIDTH = 0.05
#: Part of the error below which a difference is not worth a sentence.
NOTABLE = 0.01


def collapse_sentences(plan: Mapping[str, Any]) -> list[str]:
    """Advice, most important first."""
    return [*_remedy(plan), *_pooling(plan), *_floor(plan), *_worth(plan), *_size(plan), *_next_row(plan)]


def _remedy(plan: Mapping[str, Any]) -> list[str]:
    """Which way of using the rows is best."""
    ranked = plan["remedies"]
    told = ["The ways of using the rows could not be ranked at sizes this unequal."]
    if ranked:
        best, others = ranked[0], ", ".join(f"{other['name']} {other['error']:.3g}" for other in ranked[1:])
        told = [
            f"Best use of these rows, each way at its best ridge: {best['name']} (error {best['error']:.3g}). "
            f"The others: {others}."
        ]
    weight = plan["weight"]
    if plan["real_only"] is not None and weight["error"] < (1 - NOTABLE) * min(plan["real_only"], weight["pooled"]):
        told.append(
            f"Weigh a synthetic row {weight['row_weight']:.2g} where a real one has 1: error {weight['error']:.3g} "
            f"instead of {weight['pooled']:.3g} (pooled) and {plan['real_only']:.3g} (real rows alone)."
        )
    return told


def _pooling(plan: Mapping[str, Any]) -> list[str]:
    """Whether plain pooling helps, and how much of it."""
    told, here, alone = [], plan["here"]["total"], plan["real_only"]
    rows, real = about(plan["num_synth"]), about(plan["num_real"])
    if alone is None:
        told.append(
            f"{real} real rows alone sit on a peak of the error (as many rows as features), so that any others help."
        )
    elif here < alone:
        told.append(f"Plain pooling of {rows} rows lowers the error from {alone:.3g} to {here:.3g}.")
    else:
        told.append(f"Plain pooling of {rows} rows raises the error from {alone:.3g} to {here:.3g}: do not pool them.")
    helpful = plan["helpful"]
    if helpful is None:
        return told
    if helpful["largest"] == 0:
        told.append(
            f"Not even the first pooled rows help: the mismatch {plan['mismatch']['value']:.3g} is above "
            f"{max(helpful['first_rows_limit'], 0):.3g}, where they stop helping."
        )
    elif helpful["largest"] < 1:
        most = plan["num_real"] * helpful["largest"] / (1 - helpful["largest"])
        best = plan["num_real"] * helpful["best"] / (1 - helpful["best"])
        told.append(
            f"Pool at most about {about(most)} rows ({100 * helpful['largest']:.2g} % of all); the best is about "
            f"{about(best)} (error {helpful['at_best']:.3g})."
        )
    return told


def _floor(plan: Mapping[str, Any]) -> list[str]:
    """Where more of this mix stops helping."""
    if plan["near_floor_rows"] is None or plan["mismatch"]["value"] <= 0:
        return []
    share = 100 * plan["synth_fraction"]
    return [
        f"With {share:.2g} % synthetic rows the error ends at a floor of {plan['floor']:.2g}, however many rows there "
        f"are: beyond about {about(plan['near_floor_rows'])} rows of this mix it changes by less than a tenth of that."
    ]


def _worth(plan: Mapping[str, Any]) -> list[str]:
    """What the set is worth in real rows."""
    worth = plan["worth"]
    if worth["most"] is None or worth["rows"] is None:
        return ["No mismatch is known, so nothing limits the worth of these rows; measure it before you rely on that."]
    low = worth["most_low"]
    surely = f" (at least {about(low)} at the upper end of the mismatch)" if low and plan["num_draws"] else ""
    return [
        f"This synthetic set is worth at most {about(worth['most'])} real examples, however large it grows{surely}; "
        f"the {about(plan['num_synth'])} rows at hand are worth {about(worth['rows'])}."
    ]


def _size(plan: Mapping[str, Any]) -> list[str]:
    """Whether a bigger model helps."""
    size, told = plan["size"], []
    at, best = size["at"], size["best"]
    ridge = f" (at ridge {size['ridge']:.2g})" if size["ridge"] != plan["ridge"] else ""
    change = 0.0 if at is None else at["double"] / at["error"] - 1
    if change > NOTABLE:
        told.append(
            f"A bigger model hurts here{ridge}: doubling the width of {at['width']:,} raises the error by "
            f"{100 * change:.0f} %."
        )
    elif change < -NOTABLE:
        told.append(
            f"A bigger model helps here{ridge}: doubling the width of {at['width']:,} lowers the error by "
            f"{-100 * change:.0f} %."
        )
    elif at is not None:
        return [
            f"Model size hardly matters here{ridge}: doubling the width of {at['width']:,} changes the error by "
            f"{signed(100 * change)} %."
        ]
    smallest, biggest = size["error"][0], size["error"][-1]
    if best["is_interior"] and min(smallest, biggest) > (1 + WORSE_WIDTH) * best["error"]:
        told.append(
            f"The best width is about {about(best['width'])}{ridge}: the error is {_worse(smallest, best)} larger at "
            f"width {size['widths'][0]:,} and {_worse(biggest, best)} larger at width {size['widths'][-1]:,}; "
            f"{100 * best['collapse_share']:.0f} % of it at the best width is due to the mismatch."
        )
    return told


def _worse(error: float, best: Mapping[str, Any]) -> str:
    return f"{100 * (error / best['error'] - 1):.0f} %"


def _next_row(plan: Mapping[str, Any]) -> list[str]:
    """What to collect next."""
    marginal = plan["marginal"]
    if marginal is None or marginal["real"] <= 0:
        return []
    if marginal["synth"] <= 0:
        return ["The next real row lowers the error; the next pooled synthetic row raises it."]
    ratio = marginal["real"] / marginal["synth"]
    return [f"The next real row lowers the error as much as {about(max(ratio, 1.0))} more synthetic ones."]
