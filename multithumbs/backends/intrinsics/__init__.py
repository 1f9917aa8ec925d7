"""Estimators of a shot's camera intrinsics."""
