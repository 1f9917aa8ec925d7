"""What DROID's parts offer one another; a fake of any of them is enough to test the rest.

Grid
    Everything lives on the 1/8 grid of the resized frame, ``h x w``. Coordinates are DROID's:
    (x, y) with the first cell at (0, 0); `geometry.inverse_depth.grid_intrinsics` converts our K
    (pixel centres at 0.5) once. ``intrinsics`` is (fx, fy, cx, cy) of that grid.
Poses
    ``cam_from_world``, 4 x 4, float64 (DROID's "world to camera").
Edges
    ``ii`` (source) and ``jj`` (target) are int64 slots of the key-frame buffers. All arrays over
    edges start with E; there is no leading batch axis of one.

The pieces and where they are::

    geometry.inverse_depth
        grid_intrinsics(K (3,3) of the resized frame) -> (4,)
        grid_coordinates(h, w, like) -> coords0 (h,w,2)
        reproject(cam_from_world (F,4,4), inverse_depth (F,h,w), intrinsics (4,), ii, jj)
            -> coords (E,h,w,2), valid (E,h,w) bool
        frame_distance(cam_from_world, inverse_depth, intrinsics, ii, jj, beta=0.3,
            bidirectional=True) -> (E,) cells; 1000 where too few points stay in front
    solvers.dense_ba
        depth_damping(eta) -> 0.2 eta + 1e-7
        dense_ba(cam_from_world (F,4,4), inverse_depth (F,h,w), intrinsics (4,),
                 target (E,h,w,2), weight (E,h,w,2), damping (F,h,w), ii, jj, *,
                 first_free, last, iterations=2, motion_only=False, lm=1e-4, ep=0.1)
            -> BundleAdjustment(cam_from_world, inverse_depth, failed: int)
        Poses first_free .. last-1 move, and the depths of frames that are a source of an edge or
        lie in [first_free, last). `weight` is the network's (the factor 0.001 is applied inside);
        masked people are weight 0.
    models.droid
        Droid(Architecture()): features, context and update below; official names
            .update.prepared(inp): the context's part of the gates, once per key frame
        CorrelationVolume.between(features (F,128,h,w), ii, jj) and OnDemandCorrelation.between(...)
        upsample_convex(inverse_depth (U,h,w), upmask (U,576,h,w)) -> (U,8h,8w)
        motion_input(coords0, coords1, target) -> (E,4,h,w)
"""

from typing import NamedTuple, Protocol

from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor


class Update(NamedTuple):
    """One step of the update operator.

    ``delta`` corrects the reprojected coordinates (grid cells: target = coords1 + delta),
    ``weight`` in (0, 1) is their confidence along x and y. ``damping`` (0.01 softplus, not yet
    scaled for the bundle adjustment) and ``upmask`` belong to ``frames``, the sorted unique
    sources; all three are None where the graph was not aggregated.
    """

    net: Float[Tensor, "E C h w"]
    delta: Float[Tensor, "E h w 2"]
    weight: Float[Tensor, "E h w 2"]
    frames: Int[Tensor, " U"] | None = None
    damping: Float[Tensor, "U h w"] | None = None
    upmask: Float[Tensor, "U 576 h w"] | None = None


class UpdateOperator(Protocol):
    """Recurrent update over a batch of edges."""

    def __call__(
        self,
        net: Float[Tensor, "E C h w"],
        inp: Float[Tensor, "E _ h w"],
        corr: Float[Tensor, "E 196 h w"],
        motion: Float[Tensor, "E 4 h w"] | None,
        ii: Int[Tensor, " E"] | None,
        jj: Int[Tensor, " E"] | None,
    ) -> Update:
        """``inp`` is the source's context (C channels), or what `prepared` made of it (3 C).

        ``motion`` None means zeros (motion filter). ``ii`` None skips the graph aggregation.

        ``jj`` is not used by the trained operator; a fake that knows the truth needs it.
        """
        ...


class Correlation(Protocol):
    """Correlations of the edges of a graph, looked up around coordinates in the target frame."""

    def __call__(self, coords: Float[Tensor, "E h w 2"]) -> Float[Tensor, "E 196 h w"]:
        """4 levels x 7 x-offsets x 7 y-offsets; bilinear, zero outside the target frame."""
        ...

    def keep(self, edges: Bool[Tensor, " E"] | Int[Tensor, " N"]) -> "Correlation":
        """Of a choice of the edges (mask or indices)."""
        ...

    def extended(
        self, features: Float[Tensor, "F C h w"], ii: Int[Tensor, " N"], jj: Int[Tensor, " N"]
    ) -> "Correlation":
        """With new edges ``(ii, jj)`` of the frames ``features`` appended."""
        ...


class Networks(Protocol):
    """All that the SLAM system asks of the trained networks."""

    update: UpdateOperator

    def features(self, image_rgb: UInt8[Tensor, "N H W 3"]) -> Float[Tensor, "N 128 h w"]:
        """Matching features at 1/8; H and W are multiples of 8."""
        ...

    def context(
        self, image_rgb: UInt8[Tensor, "N H W 3"]
    ) -> tuple[Float[Tensor, "N 128 h w"], Float[Tensor, "N 128 h w"]]:
        """``(net, inp)``: the first hidden state and the context input of key frames."""
        ...
