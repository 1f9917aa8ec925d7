"""Keypoint estimators."""
