"""Stage `masks`: the pixels of every detection of one shot."""

from multithumbs.config.masks import (
    BlazePoseMasksConfig,
    BoxMasksConfig,
    MasksConfig,
    Sam2MasksConfig,
    SamMasksConfig,
    SegmentAnythingMasksConfig,
)
from multithumbs.types import Bodies, Detections, Masks
from multithumbs.types.work import Work


def run(work: Work[MasksConfig], *, detections: Detections, bodies: Bodies | None = None) -> Masks:
    """A mask for each row of ``detections``.

    ``bodies`` are given where the configuration assigns masks to people by the overlap with
    their meshes (paper section 3.1).
    """
    found = _segment(work, detections)
    if isinstance(work.config, BoxMasksConfig) and work.config.assign_by_mesh:
        from multithumbs.backends.masks.assign import reassigned

        return reassigned(work, work.config, detections, bodies, found)
    return found


def _segment(work: Work[MasksConfig], detections: Detections) -> Masks:
    match work.config:
        case BlazePoseMasksConfig() as config:
            from multithumbs.backends.masks import blazepose

            return blazepose.segment(work, config, detections)
        case SamMasksConfig() as config:
            from multithumbs.backends.masks import sam

            return sam.segment(work, config, detections)
        case Sam2MasksConfig() as config:
            from multithumbs.backends.masks import sam2

            return sam2.segment(work, config, detections)
        case SegmentAnythingMasksConfig() as config:
            from multithumbs.backends.masks import segment_anything

            return segment_anything.segment(work, config, detections)
