"""Islands laid by the people known from two of them: exact where they are, robust to a mistake."""

import numpy as np

from multithumbs.solvers.island_layout import Standing, lay_islands

TURN = np.exp(1j * np.radians(110.0))
SHIFT = 2.0 - 3.0j
"""``first_from_second`` of the tests' second island."""
PLACES = np.array([0.2 + 0.1j, 1.4 - 0.3j, -0.8 + 0.9j])
FACING = np.exp(1j * np.array([0.3, 2.0, -1.0]))


def standing(
    place: np.ndarray, facing: np.ndarray, person: np.ndarray, island: np.ndarray, time: np.ndarray
) -> Standing:
    order = np.lexsort((time, person))
    return Standing(
        person=person[order],
        island=island[order],
        time_s=time[order],
        place=place[order],
        facing=facing[order],
    )


def two_islands(
    person: tuple[int, ...] = (0, 1, 2), then: np.ndarray = PLACES, facing: np.ndarray = FACING
) -> Standing:
    """The same three in a second island, called ``person`` there; the first one has them at
    ``then`` just before the cut, elsewhere a second earlier."""
    early = then + 5.0
    return standing(
        np.concatenate([early, then, (PLACES - SHIFT) / TURN]),
        np.concatenate([facing, facing, FACING / TURN]),
        np.array([0, 1, 2, 0, 1, 2, *person]),
        np.array([0, 0, 0, 0, 0, 0, 1, 1, 1]),
        np.array([0.0] * 3 + [1.0] * 3 + [1.04] * 3),
    )


def laid(people: Standing, camera_place: tuple[complex, ...] = (5j, 5j)) -> np.ndarray:
    return lay_islands(
        people,
        np.array(camera_place),
        np.arange(len(camera_place)),
        place_std_m=0.3,
        walk_m_s=0.6,
        facing_std_rad=1.0,
    )


def expected(turn: complex, shift: complex) -> np.ndarray:
    out = np.eye(4)
    out[[0, 0, 2, 2], [0, 2, 0, 2]] = turn.real, -turn.imag, turn.imag, turn.real
    out[0, 3], out[2, 3] = shift.real, shift.imag
    return out


def test_the_same_people_stand_where_they_stood() -> None:
    found = laid(two_islands())
    np.testing.assert_array_equal(found[0], np.eye(4))
    np.testing.assert_allclose(found[1], expected(TURN, SHIFT), atol=1e-12)


def test_one_person_lays_an_island_by_where_they_face() -> None:
    found = laid(two_islands(person=(0, 7, 8)))
    np.testing.assert_allclose(found[1], expected(TURN, SHIFT), atol=1e-12)


def test_one_who_is_mistaken_for_another_hardly_moves_the_rest() -> None:
    five = standing(
        np.array([0, 1, 2, 3j, 1 + 2j, *(np.array([0, 1, 2, 3j, 6 - 4j]) - SHIFT)]),
        np.ones(10, complex),
        np.tile(np.arange(5), 2),
        np.repeat([0, 1], 5),
        np.repeat([0.0, 0.04], 5),
    )
    found = laid(five)
    np.testing.assert_allclose(found[1], expected(1.0 + 0j, SHIFT), atol=0.15)


def test_strangers_are_put_in_the_middle_unturned() -> None:
    people = two_islands(person=(7, 8, 9))
    found = laid(people)
    middle = people.place[people.island == 0].mean() - people.place[people.island == 1].mean()
    np.testing.assert_allclose(found[1], expected(1.0 + 0j, middle), atol=1e-12)


def test_cameras_stand_for_an_island_without_people() -> None:
    people = two_islands()
    found = laid(people, camera_place=(5j, 5j, 1.0 + 1j))
    middle = complex(np.mean([*people.place[people.island == 0], *PLACES]))
    np.testing.assert_allclose(found[2], expected(1.0 + 0j, middle - (1.0 + 1j)), atol=1e-12)


def test_nobody_anywhere_puts_cameras_together() -> None:
    nobody = standing(*(np.zeros(0, t) for t in (complex, complex, int, int, float)))
    found = laid(nobody, camera_place=(1.0 + 2j, 3.0 + 5j))
    np.testing.assert_allclose(found[1], expected(1.0 + 0j, -2.0 - 3j), atol=1e-12)
