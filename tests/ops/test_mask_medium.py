import pytest
import torch
from media import GRIDS, assert_packed_close, ball, every_row, ids_of, level_arrays, some_cells

from fastsciml.ops.mask_medium import (
    coarsen_mask,
    coarsen_mask_definition,
    faces_of_bits,
    mask_diagonals,
    mask_diagonals_definition,
)
from fastsciml.ops.pack_faces import pack_faces
from fastsciml.ops.packed_medium import PackedMedium, coarsen_medium, medium_level, split_medium

every_grid = pytest.mark.parametrize(("shape", "spacing", "kinds"), GRIDS, ids=ids_of(GRIDS))
fixed_or_not = pytest.mark.parametrize("fixed", [False, True])
reactions = pytest.mark.parametrize(("alpha", "reacts"), [(0.0, False), (0.7, False), (0.3, True)])


def mask(shape, periodic, fixed):
    unknown = some_cells(shape)
    return pack_faces(unknown, unknown | some_cells(shape, 0.4) if fixed else None, periodic)


@every_grid
@fixed_or_not
@reactions
def test_diagonals_agree_with_the_definition(shape, spacing, kinds, fixed, alpha, reacts, threads):
    periodic, couplings, _, _ = level_arrays(shape, spacing, kinds)
    bits = mask(shape, periodic, fixed)
    reaction = torch.rand(shape) if reacts else None
    got = every_row(*mask_diagonals(bits, couplings, reaction, alpha, 1.25))
    expected = mask_diagonals_definition(bits, couplings, reaction, alpha, 1.25)
    torch.testing.assert_close(got, expected, rtol=1e-6, atol=0)


@every_grid
@fixed_or_not
@reactions
def test_coarsening_agrees_with_the_definition(shape, spacing, kinds, fixed, alpha, reacts, threads):
    periodic, couplings, parents, shares = level_arrays(shape, spacing, kinds)
    bits = mask(shape, periodic, fixed)
    reaction = torch.rand(shape) if reacts else None
    arguments = (bits, couplings, reaction, alpha)
    got = coarsen_mask(*arguments, fixed, periodic, parents, shares)
    faces, rest = coarsen_mask_definition(*arguments, periodic, parents, shares)
    if rest is None and fixed:
        rest = torch.zeros([n - 1 for n in (faces[0].shape[0], faces[1].shape[1], faces[2].shape[2])])
    assert_packed_close(got, PackedMedium.packed(faces, rest))


@every_grid
@fixed_or_not
def test_is_a_medium_of_faces_that_conduct_1(shape, spacing, kinds, fixed, threads):
    periodic, couplings, parents, shares = level_arrays(shape, spacing, kinds)
    bits = mask(shape, periodic, fixed)
    packed = split_medium(faces_of_bits(bits, periodic), bits >> 6 == 1, None, None, couplings, periodic)
    diagonals, _, stored = medium_level(packed, couplings, shape, bool(periodic[2]), 1.2)
    got = every_row(*mask_diagonals(bits, couplings, None, 0.0, 1.2))
    torch.testing.assert_close(got, every_row(diagonals, stored), rtol=1e-6, atol=0)
    got = coarsen_mask(bits, couplings, None, 0.0, bool(packed.reaction.numel()), periodic, parents, shares)
    assert_packed_close(got, coarsen_medium(packed, shape, parents, shares))


@pytest.mark.parametrize("alpha", [0.0, 0.7])
def test_rows_far_from_obstacles_are_stored_once(alpha, threads):
    shape, spacing, kinds = GRIDS[-1]
    periodic, couplings, _, _ = level_arrays(shape, spacing, kinds)
    unknown = ball(shape)
    bits = pack_faces(unknown, None, periodic)
    diagonals, stored = mask_diagonals(bits, couplings, None, alpha, 1.25)
    near = (bits != 127).any(2)
    assert stored.reshape(shape[:2])[~near].unique().numel() == 9  # corners, edges and the inside of the x-y plane
    assert diagonals.shape[1] == 9 + int(near.sum())
    torch.testing.assert_close(
        every_row(diagonals, stored), mask_diagonals_definition(bits, couplings, None, alpha, 1.25), rtol=1e-6, atol=0
    )


def test_opcheck():
    shape, spacing, kinds = GRIDS[1]
    periodic, couplings, parents, shares = level_arrays(shape, spacing, kinds)
    bits = mask(shape, periodic, True)
    tests = ["test_schema", "test_faketensor"]
    operators = torch.ops.fastsciml
    torch.library.opcheck(operators.mask_diagonals.default, (bits, couplings, None, 0.5, 1.2), test_utils=tests)
    arguments = (bits, couplings, None, 0.5, True, periodic, parents, shares)
    torch.library.opcheck(operators.coarsen_mask.default, arguments, test_utils=tests)


@pytest.mark.parametrize(
    ("bits", "reaction", "message"),
    [
        (torch.zeros(3, 4, 5), None, "bits has the wrong dtype"),
        (torch.zeros(3, 4, 0, dtype=torch.uint8), None, "non-empty"),
        (torch.zeros(3, 4, 6, dtype=torch.uint8), None, "two entries per cell"),
        (torch.zeros(3, 4, 5, dtype=torch.uint8), torch.zeros(3, 4, 6), "reaction must have the shape"),
    ],
)
def test_refuses_what_does_not_fit(bits, reaction, message):
    with pytest.raises(RuntimeError, match=message):
        mask_diagonals(bits, torch.zeros(24), reaction, 0.0, 1.0)
