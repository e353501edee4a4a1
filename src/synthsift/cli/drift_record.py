"""A stream and its outlook as one plain record, with the sentence that says it all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from synthsift.cli.drift_files import stream_id
from synthsift.drift.losses import name_change, overwhelming
from synthsift.drift.monitor import Seen
from synthsift.drift.outlook import Outlook
from synthsift.drift.spread import NEAR
from synthsift.drift.state import Stream
from synthsift.drift.traces import Forecast
from synthsift.records import Finding

ERRORS = {
    "random": "no error that repeats from round to round is proven",
    "systematic": "the training error repeats from round to round",
    "unknown": "too few rounds to tell whether the training error repeats",
}


def describe_stream(
    stream: Stream, outlook: Outlook | None, findings: Sequence[Finding], target: float | None
) -> dict[str, Any]:
    """Everything that was found, as plain values; floats may be NaN or infinite."""
    alpha = (None, *stream.alpha)
    goal = target or (stream.alarms.tolerated or None)
    parts = _sentences(stream, outlook, goal)
    return {
        "schema": 1,
        "tool": "synthsift",
        "kind": "drift",
        "stream": stream_id(stream),
        "verdict": {
            "sentence": " ".join(parts),
            "parts": parts,
            "alarm": stream.alarms.sounds(stream.seen[-1]),
            "alarms": [s.name for s in stream.seen if stream.alarms.sounds(s)],
            "error": "unknown" if outlook is None else outlook.forecast.innovation.verdict,
        },
        "target": goal,
        "accumulate": stream.accumulate,
        "alarms": {**asdict(stream.alarms), "level": stream.alarms.level},
        "reference": {
            "file": stream.schema.get("real"),
            "num_real": stream.reference.num_real,
            "num_compared": len(stream.reference.rows),
            "width": int(stream.reference.rows.shape[1]),
            "modes": stream.reference.mode_shares,
            "mode_names": stream.reference.mode_names,
            "noise": stream.reference.noise,
        },
        "generations": [
            {**_generation(s, a, stream), "fresh_assumed": k in stream.assumed}
            for k, (s, a) in enumerate(zip(stream.seen, alpha, strict=False))
        ],
        "forecast": None if outlook is None else _forecast(outlook.forecast),
        "plan": None if outlook is None or outlook.plan is None else asdict(outlook.plan),
        "exchange": None if outlook is None else _exchange(outlook),
        "regimes": None if outlook is None else outlook.regimes,
        "weight": None if outlook is None else {"fresh": outlook.fresh_weight, "pooled": outlook.pooled_weight},
        "findings": [
            {**{k: getattr(f, k) for k in ("code", "title", "seen", "why", "advice")}, "severity": f.severity.name}
            for f in findings
        ],
        "gallery": list(stream.exhibits),
    }


def _generation(seen: Seen, alpha: float | None, stream: Stream) -> dict[str, Any]:
    return {
        "name": seen.name,
        "num_rows": seen.num_rows,
        "fresh_fraction": alpha,
        "p_value": seen.p_value,
        "alarm": stream.alarms.sounds(seen),
        "lowest": seen.lowest,
        "measures": {
            name: {**asdict(measure), "infinite": math.isinf(measure.value)} for name, measure in seen.measures.items()
        },
        "changes": [
            {**asdict(change), "is_loss": change.is_loss, "what": name_change(change, stream.reference.mode_names)}
            for change in seen.changes
        ],
    }


def _forecast(forecast: Forecast) -> dict[str, Any]:
    """The forecast without the names of Python."""
    plain = asdict(forecast)
    return {**plain, **{k: plain[k].tolist() for k in ("ahead", "alpha", "drift", "low", "high")}}


def _exchange(outlook: Outlook) -> list[dict[str, float]]:
    """Steady drift, one entry for a fresh fraction and a number of rows."""
    return [
        {"fresh_fraction": a, "data_factor": factor, "steady_drift": drift}
        for a, row in outlook.exchange.items()
        for factor, drift in row.items()
    ]


def _sentences(stream: Stream, outlook: Outlook | None, target: float | None) -> list[str]:
    """The verdict in up to three sentences: what is, where it leads, and what keeps the target."""
    last, alarms = stream.seen[-1], stream.alarms
    drift = last.measures["mmd2"]
    size = f"drift {drift.value:.3g} [{drift.low:.3g}, {drift.high:.3g}]"
    if alarms.sounds(last):
        first = next(s.name for s in stream.seen if alarms.sounds(s))
        since = "" if first == last.name else f", the first alarm was {first}"
        said = f"ALARM: {last.name} differs from real data ({size}, p = {last.p_value:.2g}{since})."
    elif last.p_value <= alarms.level:
        said = f"{last.name} differs from real data, but is not proven to exceed the target ({size})."
    elif beside := _beside_the_test(last, stream):
        said = (
            f"The test of mean features proves no drift in {last.name} ({size}, p = {last.p_value:.2g}), but {beside}."
        )
    else:
        earlier = [s.name for s in stream.seen[:-1] if alarms.sounds(s)]
        before = f"; earlier alarms: {', '.join(earlier[-3:])}" if earlier else ""
        said = f"No drift is proven in {last.name} ({size}, p = {last.p_value:.2g}{before})."
    if outlook is None:
        return [said, "One generation allows no forecast; add the next with --state."]
    forecast = outlook.forecast
    then = _start(ERRORS[forecast.innovation.verdict])
    alpha = float(forecast.alpha[-1])
    if math.isinf(forecast.steady) and stream.accumulate:
        then += "; all rows are kept but none are fresh, so what repeats of the error adds up without end."
    elif math.isinf(forecast.steady):
        then += "; with no fresh data the drift never stops growing."
    else:
        share = "with all rows kept and a real share" if stream.accumulate else "at a fresh fraction"
        then += (
            f"; {share} of {alpha:.2g} the drift heads for {forecast.steady:.3g} "
            f"[{forecast.steady_low:.3g}, {forecast.steady_high:.3g}]."
        )
    if outlook.plan is None or target is None:
        return [said, then]
    return [said, then, f"Target {target:.3g}: {outlook.plan.alpha_reason}."]


def _beside_the_test(last: Seen, stream: Stream) -> str:
    """What has changed beyond doubt although means of features did not; "" if nothing has."""
    changes, wide = overwhelming(last.changes), last.measures["widest"]
    if changes:
        first = name_change(changes[0], stream.reference.mode_names)
        more = f" and {len(changes) - 1} more of what is compared one by one" if len(changes) > 1 else ""
        return f"{first}{more} changed beyond doubt, see what is lost"
    if wide.low > NEAR:
        times = "infinitely many" if math.isinf(wide.value) else f"{wide.value:.2g}"
        return f"in its widest direction it has {times} times the variance of real data (SS402)"
    return ""


def _start(text: str) -> str:
    """The text with a capital first."""
    return text[0].upper() + text[1:]
