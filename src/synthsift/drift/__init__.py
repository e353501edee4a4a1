"""Retraining loops: laws, simulations, measures of drift."""

from synthsift.drift.audit import ScoreAudit, audit_score

__all__ = ["ScoreAudit", "audit_score"]
