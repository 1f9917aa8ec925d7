"""Trackers inside one shot."""
