"""Everyone's final motion (paper section 3.5): one person, one shape, one world per island."""

from multithumbs.config.people import AdamWPeopleConfig, LmPeopleConfig, PeopleConfig
from multithumbs.types import (
    Alignment,
    Bodies,
    Cameras,
    Detections,
    Identities,
    Keypoints,
    Masks,
    Odometry,
    People,
    Shots,
    Tracks,
)
from multithumbs.types.work import Work


def run(
    work: Work[PeopleConfig],
    *,
    shots: Shots,
    detections: tuple[Detections, ...],
    keypoints: tuple[Keypoints, ...],
    masks: tuple[Masks, ...],
    bodies: tuple[Bodies, ...],
    tracks: tuple[Tracks, ...],
    alignment: tuple[Alignment, ...],
    odometry: tuple[Odometry, ...],
    cameras: Cameras,
    identities: Identities,
) -> People:
    """Gather everyone's rows, bridge short gaps, refine with the chosen solver, lay islands."""
    import torch

    from multithumbs.backends.people.finish import to_people
    from multithumbs.backends.people.gaps import bridge
    from multithumbs.backends.people.gather import gather
    from multithumbs.backends.people.ground import on_ground
    from multithumbs.backends.people.layout import lay
    from multithumbs.body import load_body

    config, times = work.config, work.video.info.timestamps_s
    body = load_body(work.body_npz)
    rows = gather(
        body, detections, keypoints, bodies, tracks, alignment, cameras, identities, times,
        config.gather,
    )  # fmt: skip
    rows = bridge(rows, cameras, times, config.gather)
    if not config.refine:
        rows, ground = on_ground(body, rows, cameras, config.ground)
        return to_people(body, *lay(body, rows, ground, cameras, config.layout))
    # Both solvers give the same to a micrometre in single precision, and lm a third sooner.
    solver_body = load_body(work.body_npz, dtype=torch.float32, device=work.runtime.device)
    vposer = None
    if config.pose_prior == "vposer":
        from multithumbs.backends.people.latent import load_vposer

        vposer = load_vposer(work.checkpoints["vposer"], config.vposer, solver_body.v_template)
    match config:
        case AdamWPeopleConfig():
            from multithumbs.backends.people.adamw import refine as literal

            rows, ground = literal(solver_body, rows, cameras, config, work.progress, vposer)
        case LmPeopleConfig():
            from multithumbs.backends.people.lm import refine

            rows, ground = refine(solver_body, rows, cameras, config, work.progress, vposer)
    return to_people(body, *lay(body, rows, ground, cameras, config.layout))
