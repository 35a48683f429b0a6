"""Insight: what the tables say, as figures, findings and report pages."""
