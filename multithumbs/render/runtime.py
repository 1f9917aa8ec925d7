"""Warp's start, where the ray-caster looks for it."""

from multithumbs.geometry.warp_runtime import warp_device as warp_device
