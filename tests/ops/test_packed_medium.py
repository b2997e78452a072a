import pytest
import torch
from media import GRIDS, assert_packed_close, ball, every_row, ids_of, level_arrays, random_faces, some_cells

from fastsciml.ops.packed_medium import (
    PackedMedium,
    coarsen_medium,
    coarsen_medium_definition,
    medium_level,
    medium_level_definition,
    split_medium,
    split_medium_definition,
)

every_grid = pytest.mark.parametrize(("shape", "spacing", "kinds"), GRIDS, ids=ids_of(GRIDS))
with_reaction = pytest.mark.parametrize("reacts", [False, True])


def close_to_others(faces, unknown, periodic):
    """The same faces without those that lead to cells without an unknown."""
    return split_medium_definition(
        faces, unknown, None, torch.zeros(unknown.shape), torch.zeros(2 * sum(unknown.shape)), periodic
    )[0]


@every_grid
@with_reaction
@pytest.mark.parametrize("kind", ["full", "solid", "fixed", "both"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_splitting_agrees_with_the_definition(shape, spacing, kinds, kind, dtype, reacts, threads):
    periodic, couplings, _, _ = level_arrays(shape, spacing, kinds)
    unknown = torch.ones(shape, dtype=torch.bool) if kind == "full" else some_cells(shape)
    faces = random_faces(shape, dtype)
    passable = {"solid": unknown, "both": unknown | some_cells(shape, 0.5)}.get(kind)
    reaction = torch.rand(shape, dtype=dtype) if reacts else None
    got = split_medium(faces, unknown, passable, reaction, couplings, periodic)
    rest = None if reaction is None else reaction.float()
    expected = split_medium_definition(tuple(f.float() for f in faces), unknown, passable, rest, couplings, periodic)
    assert_packed_close(got, PackedMedium.packed(*expected))
    if kind != "both":
        assert bool(got.reaction.numel()) == (reacts or (kind == "fixed" and unknown.numel() > 1))


def test_no_face_of_a_solid_cell_conducts():
    """Unknowns, fixed, solid, unknowns: what leads to the fixed cell is reaction, to the solid one nothing."""
    unknown = torch.tensor([1, 1, 0, 0, 1], dtype=torch.bool).reshape(1, 1, 5)
    passable = torch.tensor([1, 1, 1, 0, 1], dtype=torch.bool).reshape(1, 1, 5)
    faces = (torch.zeros(2, 1, 5), torch.zeros(1, 2, 5), torch.full((1, 1, 6), 3.0))
    couplings = torch.ones(14)
    (_, _, z), reaction = split_medium(faces, unknown, passable, None, couplings, [0, 0, 0]).unpacked((1, 1, 5))
    assert z.flatten().tolist() == [3, 3, 0, 0, 0, 3]
    assert reaction.flatten().tolist() == [0, 3, 0, 0, 0]


@every_grid
@with_reaction
def test_a_level_agrees_with_the_definition(shape, spacing, kinds, reacts, threads):
    periodic, couplings, _, _ = level_arrays(shape, spacing, kinds)
    unknown = some_cells(shape)
    reaction = torch.rand(shape) * unknown if reacts else None
    faces = close_to_others(random_faces(shape, torch.float32), unknown, periodic)
    *got, stored = medium_level(PackedMedium.packed(faces, reaction), couplings, shape, bool(periodic[2]), 1.2)
    expected = medium_level_definition(faces, reaction, couplings, bool(periodic[2]), 1.2)
    for a, b in zip(got, expected, strict=True):
        a = every_row(a, stored)
        torch.testing.assert_close(a, b, rtol=1e-6, atol=0)
        assert torch.equal(a == 0, b == 0)


@pytest.mark.parametrize("reacts", [None, "nowhere", "at one cell"])
def test_rows_whose_faces_all_conduct_1_are_stored_once_and_not_weighted(reacts, threads):
    shape, spacing, kinds = GRIDS[-1]
    periodic, couplings, _, _ = level_arrays(shape, spacing, kinds)
    ones = tuple(torch.ones([n + (a == axis) for a, n in enumerate(shape)]) for axis in range(3))
    faces = close_to_others(ones, ball(shape), periodic)
    reaction = None if reacts is None else torch.zeros(shape)
    if reacts == "at one cell":
        reaction[5, 6, 7] = 0.5
    diagonals, z_couplings, stored = medium_level(PackedMedium.packed(faces, reaction), couplings, shape, False, 1.2)
    x, y, z = faces
    plain = ((x[:-1] == 1) & (x[1:] == 1) & (y[:, :-1] == 1) & (y[:, 1:] == 1)).all(2) & (z == 1).all(2)
    if reacts == "at one cell":
        assert plain[5, 6]
        plain[5, 6] = False
    assert torch.equal(stored.reshape(shape[:2]) >= 0, plain)
    assert diagonals.shape[1] == z_couplings.shape[1] == 9 + int((~plain).sum())
    for got, expected in zip(
        (diagonals, z_couplings), medium_level_definition(faces, reaction, couplings, False, 1.2), strict=True
    ):
        torch.testing.assert_close(every_row(got, stored), expected, rtol=1e-6, atol=0)


@every_grid
@with_reaction
def test_coarsening_agrees_with_the_definition(shape, spacing, kinds, reacts, threads):
    _, _, parents, shares = level_arrays(shape, spacing, kinds)
    faces = random_faces(shape, torch.float32, closed=0.3)
    reaction = torch.rand(shape) if reacts else None
    got = coarsen_medium(PackedMedium.packed(faces, reaction), shape, parents, shares)
    assert_packed_close(got, PackedMedium.packed(*coarsen_medium_definition(faces, reaction, parents, shares)))


@every_grid
def test_unpacking_is_the_inverse(shape, spacing, kinds):
    faces, reaction = random_faces(shape, torch.float32), torch.rand(shape)
    again, rest = PackedMedium.packed(faces, reaction).unpacked(shape)
    assert all(torch.equal(a, b) for a, b in zip((*faces, reaction), (*again, rest), strict=True))


def test_opcheck():
    shape, spacing, kinds = GRIDS[1]
    periodic, couplings, parents, shares = level_arrays(shape, spacing, kinds)
    tests = ["test_schema", "test_faketensor"]
    operators = torch.ops.fastsciml
    faces, unknown = random_faces(shape, torch.float32), some_cells(shape)
    torch.library.opcheck(
        operators.split_medium.default, (*faces, unknown, None, None, couplings, periodic), test_utils=tests
    )
    packed = split_medium(faces, unknown, None, None, couplings, periodic)
    torch.library.opcheck(operators.medium_level.default, (*packed, couplings, shape, True, 1.2), test_utils=tests)
    torch.library.opcheck(operators.coarsen_medium.default, (*packed, shape, parents, shares), test_utils=tests)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(parents=torch.ones(12, dtype=torch.int32)), "begin with 0"),
        (dict(parents=torch.tensor([0, 0, 2] + [0, 0, 1] * 3, dtype=torch.int32)), "grow by 0 or 1"),
        (dict(parents=torch.zeros(11, dtype=torch.int32)), "one entry per cell"),
        (dict(shares=torch.ones(12, dtype=torch.float64)), "shares has the wrong dtype"),
        (dict(extents=(3, 4, 6)), "one entry per cell"),
        (dict(extents=(3, 4)), "three entries"),
    ],
)
def test_refuses_what_does_not_fit(change, message):
    medium = PackedMedium.packed(random_faces((3, 4, 5), torch.float32), None)
    arguments = dict(extents=(3, 4, 5), parents=torch.zeros(12, dtype=torch.int32), shares=torch.ones(12))
    with pytest.raises(RuntimeError, match=message):
        coarsen_medium(medium, **{**arguments, **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(faces=random_faces((3, 4, 6), torch.float32)), "one entry more along their own axis"),
        (dict(faces=tuple(f.half() for f in random_faces((3, 4, 5), torch.float32))), "float32 or float64"),
        (dict(reaction=torch.zeros(3, 4, 5, dtype=torch.float64)), "reaction has the wrong dtype"),
        (dict(couplings=torch.zeros(7)), "two entries per cell"),
        (dict(passable=torch.zeros(3, 4, 6, dtype=torch.bool)), "passable must have the shape"),
    ],
)
def test_refuses_faces_that_do_not_fit(change, message):
    arguments = dict(
        faces=random_faces((3, 4, 5), torch.float32),
        unknown=torch.ones(3, 4, 5, dtype=torch.bool),
        passable=None,
        reaction=None,
        couplings=torch.zeros(24),
        periodic=[0, 0, 0],
    )
    with pytest.raises(RuntimeError, match=message):
        split_medium(**{**arguments, **change})
