"""Estimators of posed bodies."""
