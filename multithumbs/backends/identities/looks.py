"""How unlike people look: A of Eq. 8 by texels, and by what they wear."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int64, UInt8

from multithumbs.body import BodyModel
from multithumbs.config.identities import RecognitionConfig
from multithumbs.render.texture import Texels
from multithumbs.solvers.identity_costs import texture_difference
from multithumbs.solvers.identity_looks import part_colours, part_difference, part_of_joint

Texture = tuple[UInt8[np.ndarray, "T T 3"], Float[np.ndarray, "T T"]]


def texel_parts(body: BodyModel, size: int) -> Int64[np.ndarray, "T T"] | None:
    """Which of `identity_looks.PARTS` each texel shows, -1 for none; None without a UV layout.

    By the skinning, since an imported SMPL has no `vertex_part`.
    """
    if body.face_uv is None:
        return None
    texels = Texels.of(body.face_uv.cpu().numpy(), size)
    joint = body.lbs_weights.argmax(1)[body.faces[:, 0]].cpu().numpy()
    parts = np.full((size, size), -1)
    parts[texels.row, texels.column] = part_of_joint()[joint[texels.face]]
    return parts


@dataclass(frozen=True, slots=True)
class Looks:
    """Compares textures."""

    texel_part: Int64[np.ndarray, "T T"] | None
    """See `texel_parts`; None compares texels alone."""
    config: RecognitionConfig

    def difference(
        self, known: Sequence[Texture], new: Sequence[Texture], min_share: float
    ) -> Float[np.ndarray, "A B"]:
        """The mean of both measures, or the one that is known; NaN where neither is.

        Texels are compared where both textures saw at least ``min_share`` of the map.
        """
        sides = [
            (np.stack([rgb for rgb, _ in side]), np.stack([weight for _, weight in side]))
            for side in (known, new)
        ]
        texels, share = texture_difference(*sides[0], *sides[1], self.config.texture_cell)
        texels = np.where(share >= min_share, texels, np.nan)
        if self.config.part_factor == 0 or self.texel_part is None:
            return texels
        (colours_a, seen_a), (colours_b, seen_b) = (
            part_colours(*side, self.texel_part) for side in sides
        )
        parts = self.config.part_factor * part_difference(colours_a, seen_a, colours_b, seen_b)
        both = (texels + parts) / 2
        return np.where(np.isnan(both), np.where(np.isnan(parts), texels, parts), both)
