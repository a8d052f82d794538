"""Whether declared training fits the declared machines, as check 7 of a record audit asks (``records.checks.compute``).

``6 N D / (devices x peak x seconds)``: ``N`` active parameters, ``D`` tokens. The least that the arithmetic needs, so a
share of the peak above 1 cannot be; above .65 it is seldom seen. ``N`` is as declared: input embeddings, which are
looked up and not multiplied, are in it, and where no active parameters are declared all of them are. So this is a note
on a page, and never moves a rank or a gate.

Kaplan et al. (2020), Scaling laws for neural language models, arXiv:2001.08361, section 2.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jokbo.league.round import Team
from jokbo.records.checks.compute import HIGH, usable_peak
from jokbo.records.declaration import Hardware
from jokbo.views.component import Reason

NEEDED = ("tokens", "device", "devices", "days")
SHARE_DECIMALS = 4


@dataclass(frozen=True, slots=True)
class Plausibility:
    """What a declared training would have used.

    Attributes
    ----------
    share : float or None
        Of the machines' dense peak, four decimals; None where something is missing.
    reasons : tuple of Reason
    """

    share: float | None
    reasons: tuple[Reason, ...]

    def to_document(self) -> dict[str, Any]:
        """Plain values, as the board holds them."""
        return {
            "share": self.share,
            "reasons": [{"code": reason.code, "values": dict(reason.values)} for reason in self.reasons],
        }


def plausibility(team: Team) -> Plausibility | None:
    """Hold a team's declared training against its declared machines; None where nothing is declared.

    Examples
    --------
    >>> from jokbo.league.round import ModelIdentity, Team
    >>> declared = {"tokens": 10e12, "device": "H100", "devices": 1000, "days": 60, "precision": "bf16"}
    >>> plausibility(Team("a", {}, ModelIdentity("m", active_parameters=12e9), compute=declared)).share
    0.1404
    """
    if team.compute is None:
        return None
    declared: Mapping[str, Any] = team.compute
    parameters = team.model.active_parameters or team.model.parameters
    missing = [key for key in NEEDED if key not in declared]
    if parameters is None:
        missing.append("parameters")
    if missing or parameters is None:
        return Plausibility(None, (Reason("incomplete", {"missing": ", ".join(missing)}),))
    hardware = Hardware(
        str(declared["device"]), int(declared["devices"]), precision=str(declared.get("precision", ""))
    )
    peak, notes = usable_peak(hardware)
    if peak <= 0:
        return Plausibility(None, (Reason("unknown_device", {"device": hardware.device}), *notes))
    seconds = float(declared["days"]) * 86_400
    share = 6 * parameters * float(declared["tokens"]) / (hardware.count * peak * seconds)
    rounded = round(share, SHARE_DECIMALS)
    reasons = [*notes]
    if team.model.active_parameters is None:
        reasons.append(Reason("all_parameters_counted"))
    if share > 1:
        code = "impossible" if team.model.active_parameters is not None else "impossible_if_all_active"
        reasons.insert(0, Reason(code, {"share": rounded, "least_days": round(share * seconds / 86_400, 1)}))
    elif share > HIGH:
        reasons.insert(0, Reason("high", {"share": rounded}))
    return Plausibility(rounded, tuple(reasons))
