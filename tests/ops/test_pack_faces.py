import itertools

import pytest
import torch

from fastsciml.ops.pack_faces import pack_faces, pack_faces_definition

SHAPES = [(5, 6, 7), (1, 1, 33), (9, 1, 70), (1, 1, 1), (40, 30, 64)]


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("periodic", list(itertools.product([0, 1], repeat=3)), ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_agrees_with_the_definition(shape, periodic, fixed, threads):
    unknown = torch.rand(shape) < 0.7
    passable = unknown | (torch.rand(shape) < 0.5) if fixed else None
    assert torch.equal(pack_faces(unknown, passable, periodic), pack_faces_definition(unknown, passable, periodic))


def test_opcheck():
    unknown = torch.rand(3, 5, 7) < 0.7
    torch.library.opcheck(
        torch.ops.fastsciml.pack_faces.default,
        (unknown, torch.ones_like(unknown), [0, 1, 0]),
        test_utils=["test_schema", "test_faketensor"],
    )


@pytest.mark.parametrize(
    ("unknown", "passable", "message"),
    [
        (torch.zeros(3, 5, dtype=torch.bool), None, "non-empty"),
        (torch.zeros(3, 5, 7), None, "unknown has the wrong dtype"),
        (torch.zeros(3, 5, 7, dtype=torch.bool).mT, None, "contiguous"),
        (
            torch.zeros(3, 5, 7, dtype=torch.bool),
            torch.zeros(3, 5, 8, dtype=torch.bool),
            "passable must have the shape",
        ),
    ],
)
def test_refuses_what_does_not_fit(unknown, passable, message):
    with pytest.raises(RuntimeError, match=message):
        pack_faces(unknown, passable, [0, 0, 0])
