"""Static points matched between two frames: SIFT outside of people, one epipolar geometry."""

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8

from multithumbs.config.boundaries import BackgroundConfig
from multithumbs.solvers.two_view_background import (
    BackgroundMatches,
    background_errors,
    fit_turn,
)

MatchedPixels = Float[np.ndarray, "2 S 2"]


def background_matches(
    images: tuple[UInt8[np.ndarray, "H W 3"], UInt8[np.ndarray, "H W 3"]],
    people: tuple[Bool[np.ndarray, "H W"], Bool[np.ndarray, "H W"]],
    K: Float[np.ndarray, "2 3 3"],
    config: BackgroundConfig,
) -> BackgroundMatches | None:
    """Verified matches, or None where the frames share too little background."""
    uv = match_features(images, people, config)
    uv = _verified(uv, config)
    if uv is None:
        return None
    return BackgroundMatches(
        K=torch.as_tensor(K, dtype=torch.float64),
        uv=torch.as_tensor(uv, dtype=torch.float64),
        sigma_px=config.sigma_px,
        outlier_sigmas=config.outlier_sigmas,
        weight=config.weight,
        max_inverse_depth=1 / config.min_depth_m,
    )


def turned_camera(
    matches: BackgroundMatches | None,
    hw: tuple[tuple[int, int], tuple[int, int]],
    config: BackgroundConfig,
) -> Float[np.ndarray, "4 4"] | None:
    """``after_from_before`` of a camera that only turned, if the matches say so clearly."""
    if matches is None:
        return None
    moved = (matches.uv[1] - matches.uv[0]).norm(dim=-1) >= config.min_turn_px
    kept = matches._replace(uv=matches.uv[:, moved])
    if kept.uv.shape[1] < config.min_matches:
        return None
    turn = fit_turn(kept)
    explained = background_errors(turn[None], kept)[0] <= config.outlier_sigmas
    uv = kept.uv[:, explained].numpy().astype(np.float32)
    if explained.double().mean() < config.min_turn_share or uv.shape[1] < config.min_matches:
        return None
    spread = [
        cv2.contourArea(cv2.convexHull(points)) / (height * width)
        for points, (height, width) in zip(uv, hw, strict=True)
    ]
    return turn.numpy() if min(spread) >= config.min_turn_spread else None


def match_features(
    images: tuple[UInt8[np.ndarray, "H W 3"], UInt8[np.ndarray, "H W 3"]],
    people: tuple[Bool[np.ndarray, "H W"], Bool[np.ndarray, "H W"]],
    config: BackgroundConfig,
) -> MatchedPixels:
    """Mutual nearest SIFT neighbours that pass the ratio test, pixels of the full frames."""
    sides = [_features(image, mask, config) for image, mask in zip(images, people, strict=True)]
    (uv_a, a), (uv_b, b) = sides
    if min(len(a), len(b)) < 2:
        return np.zeros((2, 0, 2))
    matcher = cv2.BFMatcher(cv2.NORM_L2)
    forward = matcher.knnMatch(a, b, k=2)
    back = {m.queryIdx: m.trainIdx for m in matcher.match(b, a)}
    pairs = [
        (first.queryIdx, first.trainIdx)
        for first, second in forward
        if first.distance < config.ratio * second.distance
        and back[first.trainIdx] == first.queryIdx
    ]
    index = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return np.stack([uv_a[index[:, 0]], uv_b[index[:, 1]]])


def _features(
    image: UInt8[np.ndarray, "H W 3"], people: Bool[np.ndarray, "H W"], config: BackgroundConfig
) -> tuple[Float[np.ndarray, "S 2"], np.ndarray]:
    longer = max(image.shape[:2])
    scale = min(1.0, config.max_side_px / longer)
    size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    grey = cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_AREA)
    blocked = cv2.resize(people.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    radius = round(config.margin_of_side * max(size))
    blocked = cv2.dilate(blocked, np.ones((2 * radius + 1, 2 * radius + 1), np.uint8))
    sift = cv2.SIFT.create(nfeatures=config.max_features)
    points, descriptors = sift.detectAndCompute(grey, (1 - blocked) * 255)
    if descriptors is None:
        return np.zeros((0, 2)), np.zeros((0, 128), np.float32)
    # OpenCV's pixel centres are integers; ours are at one half.
    uv = np.array([p.pt for p in points], dtype=np.float64).reshape(-1, 2) + 0.5
    stretch = np.array([image.shape[1] / size[0], image.shape[0] / size[1]])
    # SIFT of "normalised root" form: Hellinger distance tells repeated texture apart better.
    descriptors = np.sqrt(descriptors / np.maximum(descriptors.sum(1, keepdims=True), 1e-9))
    return uv * stretch, descriptors.astype(np.float32)


def _verified(uv: MatchedPixels, config: BackgroundConfig) -> MatchedPixels | None:
    """The matches that one fundamental matrix explains, if they are many enough."""
    count = uv.shape[1]
    if count < max(config.min_matches, 8):
        return None
    _, inlier = cv2.findFundamentalMat(uv[0], uv[1], cv2.USAC_MAGSAC, config.sigma_px, 0.999, 2000)
    if inlier is None:
        return None
    kept = uv[:, inlier.ravel() > 0]
    enough = max(config.min_matches, config.min_match_share * count)
    return kept if kept.shape[1] >= enough else None
