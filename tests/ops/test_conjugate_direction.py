from math import sqrt

import pytest
import torch
from cuda_on_host import host_module

from fastsciml.ops import conjugate_direction_step, conjugate_line_search, join_rows, poisson_apply, split_rows
from fastsciml.ops.conjugate_direction import (
    conjugate_direction_step_definition,
    conjugate_direction_update,
    conjugate_line_search_definition,
)
from fastsciml.solvers.boundary import parse_boundary
from fastsciml.solvers.discretisation import Discretisation, Fill
from fastsciml.solvers.grid import make_grid

SHAPES = [(1, 1, 1), (1, 1, 19), (7, 1, 16), (5, 6, 33)]
LARGE = (40, 45, 40)  # worth two threads on the CPU
BOUNDARIES = ["dirichlet", "periodic", [("neumann", "dirichlet"), "periodic", "neumann"]]
# Each with so many directions; above 3 the line search on CUDA is another kernel.
FILLS = {"box": 1, "solid": 0, "fixed": 2, "coefficient": 8, "everything": 5}


class Problem:
    """One on the device. Its definitions, on the CPU, take and give tensors that are there."""

    def __init__(self, shape, boundary, fill, dtype=torch.float64, stretched=False, device="cpu"):
        uniform = zip(shape, (1.0, 2.0, 0.5), strict=True)
        spacing = [torch.rand(n).double().numpy() + 0.5 if stretched else h for n, h in uniform]
        grid = make_grid(shape, spacing, parse_boundary(boundary, 3))

        def some(share):
            mask = torch.rand(shape) < share
            mask.view(-1)[0] = False
            return mask

        masked = fill in ("solid", "everything")
        faces = [torch.rand([n + (a == b) for b, n in enumerate(shape)], dtype=dtype) + 0.1 for a in range(3)]
        for a, periodic in enumerate(grid.periodic):
            if periodic:
                faces[a].narrow(a, shape[a], 1).copy_(faces[a].narrow(a, 0, 1))
        self.sample = Discretisation(
            grid,
            Fill(
                solid=some(0.2) if masked else None,
                fixed=some(0.2) if fill in ("fixed", "everything") else None,
                faces=faces if fill in ("coefficient", "everything") else None,
                alpha=torch.rand(shape, dtype=dtype) if fill == "everything" else torch.tensor(0.3, dtype=dtype),
            ),
            dtype,
        )
        self.device = torch.device(device)
        self.hierarchy = self.sample.hierarchy().to(self.device)
        self.volumes = torch.from_numpy(grid.volumes())

    def field(self, dtype):
        field = torch.randn(self.sample.grid.extents, dtype=dtype)
        return (field if self.sample.unknown is None else field * self.sample.unknown).to(self.device)

    def direction(self):
        return split_rows(self.field(torch.float32))

    def directions(self, count):
        return [self.direction() for _ in range(count)]

    def joined(self, rows):
        return join_rows(rows.cpu(), self.sample.grid.extents[2]).double()

    def apply(self, u):
        a = self.sample.operator
        coefficient = a.coefficient and [face.to(u.dtype) for face in a.coefficient]
        arguments = (a.couplings.to(u.dtype), a.periodic, a.faces, coefficient, a.alpha.to(u.dtype))
        return poisson_apply(u[None].contiguous(), *arguments)[0]

    @property
    def operator(self):
        a = self.sample.operator.to(self.device)
        return a.couplings, a.periodic, a.faces, a.coefficient, a.alpha

    def step(self, u, z, directions, r, f, length, betas, scale, from_zero=False):
        return conjugate_direction_step(u, z, directions, r, f, *self.operator, length, betas, scale, from_zero)


def spoil_padding(rows, extent):
    """On a device nothing promises zeros there."""
    padded = torch.full_like(rows, torch.nan)
    halves = zip(padded.chunk(2, -1), rows.chunk(2, -1), strict=True)
    for parity, (to, values) in enumerate(halves):
        cells = (extent + 1 - parity) // 2
        to[..., :cells] = values[..., :cells]
    return padded


@pytest.mark.parametrize("stretched", [False, True])
@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("boundary", BOUNDARIES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_line_search_agrees_with_the_definition(shape, boundary, fill, stretched, device):
    check_line_search(Problem(shape, boundary, fill, stretched=stretched, device=device), FILLS[fill])


@pytest.mark.parametrize("stretched", [False, True])
@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("boundary", BOUNDARIES, ids=str)
def test_line_search_on_a_large_grid(boundary, fill, stretched, threads):
    check_line_search(Problem(LARGE, boundary, fill, stretched=stretched), FILLS[fill])


def check_line_search(problem, count):
    z, r, *directions = problem.directions(2 + count)
    zs, rs, *ps = (problem.joined(t) for t in (z, r, *directions))
    products = conjugate_line_search(z, directions, r, problem.hierarchy).cpu()
    az = problem.apply(zs)
    reference = conjugate_line_search_definition(zs, ps, rs, az, problem.volumes)
    pairs = [(zs, az), (rs, zs), *((p, az) for p in ps), *((rs, p) for p in ps)]
    scale = torch.stack([a.norm() * b.norm() for a, b in pairs])
    assert ((products - reference).abs() <= 1e-5 * scale).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("boundary", BOUNDARIES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_step_leaves_the_true_residual(shape, boundary, fill, dtype, device):
    check_step(Problem(shape, boundary, fill, dtype, device=device), dtype, FILLS[fill])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("boundary", BOUNDARIES, ids=str)
def test_step_on_a_large_grid(boundary, fill, dtype, threads):
    check_step(Problem(LARGE, boundary, fill, dtype), dtype, FILLS[fill])


def check_step(problem, dtype, count):
    u, f = problem.field(dtype), problem.field(dtype)
    z, *directions = problem.directions(1 + count)
    length, scale = 0.3, 4.0
    betas = [(0.1 * d - 0.2) * (d != 3) for d in range(count)]
    before = (u.cpu().double().clone(), problem.joined(z), [problem.joined(p) for p in directions], f.cpu().double())
    expected_z = conjugate_direction_step_definition(*before, problem.apply, length, betas, scale)[1]

    r = torch.full_like(z, torch.nan)
    if count > 3:
        directions[3].fill_(torch.nan)  # its beta is 0: nobody reads it
    norm = problem.step(u, z, directions, r, f, length, betas, scale)
    torch.testing.assert_close(problem.joined(z), expected_z, rtol=1e-6, atol=1e-6)
    # From the z that was rounded to float32, so that a float64 u has no other rounding.
    rounded = (before[0], problem.joined(z), [], before[3])
    new_u, _, residual, size = conjugate_direction_step_definition(*rounded, problem.apply, length, [], 1.0)
    tolerance = (1e-6 if dtype == torch.float32 else 1e-14) * 20 * float(new_u.norm() + f.norm() + 1e-30)
    assert float((u.double().cpu() - new_u).norm()) <= tolerance
    assert float((problem.joined(r) / scale - residual).norm()) <= max(tolerance, 2e-7 * float(size))
    assert norm == pytest.approx(float(size), rel=1e-12, abs=tolerance)
    assert torch.equal(split_rows(problem.joined(r).float()), r.cpu())  # the padding is 0


@pytest.mark.parametrize("shape", [*SHAPES, LARGE], ids=str)
def test_step_from_zero_reads_no_solution(shape, threads, device):
    problem = Problem(shape, "dirichlet", "everything", device=device)
    f, z = problem.field(torch.float64), problem.direction()
    zero, unset = torch.zeros_like(f), torch.full_like(f, torch.nan)
    residuals = [torch.empty_like(z) for _ in range(2)]
    norms = [
        problem.step(u, z, [], r, f, 0.3, [], 1.0, from_zero=u is unset)
        for u, r in zip((zero, unset), residuals, strict=True)
    ]
    assert torch.equal(zero, unset)
    assert torch.equal(*residuals)
    assert norms[0] == norms[1]


def test_step_reads_an_old_direction_only_with_a_beta(device):
    problem = Problem((3, 4, 16), "dirichlet", "box", device=device)
    u, f = problem.field(torch.float64), problem.field(torch.float64)
    z = problem.direction()
    before, r = z.clone(), torch.full_like(z, torch.nan)
    for directions in ([], [torch.full_like(z, torch.nan)]):
        problem.step(u, z, directions, r, f, 1.0, [0.0] * len(directions), 1.0)
        assert torch.equal(z, before)
        assert r.isfinite().all()
    with pytest.raises(ValueError, match="one beta for every direction, got 1 betas for 0 directions"):
        problem.step(u, z, [], r, f, 1.0, [0.5], 1.0)


def test_step_of_lengths_that_the_host_has_not_read(device):
    problem = Problem((5, 6, 33), "dirichlet", "everything", device=device)
    f, p, z = problem.field(torch.float64), problem.direction(), problem.direction()
    told, read = [(torch.zeros_like(f), z.clone(), torch.empty_like(z)) for _ in range(2)]
    norm = problem.step(told[0], told[1], [p], told[2], f, 0.3, [-0.2], 2.0)
    lengths = torch.tensor([0.3, -0.2], dtype=torch.float64, device=problem.device)
    squared = conjugate_direction_update(read[0], read[1], [p], read[2], f, *problem.operator, lengths, 2.0)
    assert sqrt(float(squared)) == norm
    assert all(torch.equal(a, b) for a, b in zip(told, read, strict=True))


@pytest.mark.parametrize("device", ["cuda-host"], indirect=True)
def test_cuda_reads_no_padding_and_leaves_the_directions_alone(device):
    problem = Problem((5, 6, 33), "periodic", "everything", device=device)
    u, f = problem.field(torch.float64), problem.field(torch.float64)
    z, p, r = (spoil_padding(problem.direction(), 33) for _ in range(3))
    assert conjugate_line_search(z, [p], r, problem.hierarchy).isfinite().all()
    assert problem.step(u, z, [p], r, f, 0.3, [-0.2], 1.0) < 1e6
    torch.testing.assert_close(z, spoil_padding(z, 33), equal_nan=True)
    assert r.isfinite().all()


@pytest.mark.parametrize("device", ["cuda-host"], indirect=True)
def test_cuda_gives_the_same_in_any_order_of_threads(device):
    problem = Problem((20, 17, 33), "dirichlet", "everything", device=device)
    z, r, *directions = problem.directions(8)
    start, f = problem.field(torch.float64), problem.field(torch.float64)
    results = []
    try:
        for seed in range(3):
            host_module().set_order(seed)
            u, step, left = start.clone(), z.clone(), torch.empty_like(r)
            products = conjugate_line_search(z, directions, r, problem.hierarchy)
            norm = problem.step(u, step, directions, left, f, 0.3, [-0.2] * 6, 1.0)
            results.append((products, u, step, left, torch.tensor(norm)))
    finally:
        host_module().set_order(0)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize("name", ["line_search", "step"])
def test_opcheck(name):
    problem = Problem((3, 4, 5), "dirichlet", "everything")
    h = problem.hierarchy
    z, p, r = (problem.direction() for _ in range(3))
    if name == "line_search":
        op = torch.ops.fastsciml.conjugate_line_search.default
        of_level = (h.axes[0], h.maps[0], h.diagonals[0], h.z_couplings[0], h.faces[0])
        arguments = (z, [p], r, h.extents, h.periodic, *of_level)
    else:
        op = torch.ops.fastsciml.conjugate_direction_step.default
        u, f = problem.field(torch.float64), problem.field(torch.float64)
        lengths = torch.tensor([0.1, 0.2], dtype=torch.float64)
        arguments = (u, z, [p], r, f, *problem.operator, lengths, 1.0, False)
    torch.library.opcheck(op, arguments, test_utils=["test_schema", "test_faketensor"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(u=torch.zeros(3, 4, 5)[0]), "u must be a non-empty"),
        (dict(f=torch.zeros(3, 4, 5)), "f has the wrong dtype"),
        (dict(z=torch.zeros(3, 4, 5)), "z must have the shape of rows in halves"),
        (dict(p=torch.zeros(3, 4, 16)), "every direction must have the shape of rows in halves"),
        (dict(r=torch.zeros(3, 4, 32, dtype=torch.float64)), "r has the wrong dtype"),
        (dict(lengths=torch.zeros(2)), "lengths has the wrong dtype"),
        (
            dict(lengths=torch.zeros(3, dtype=torch.float64)),
            "lengths must have one entry more than there are directions",
        ),
    ],
)
def test_step_refuses_what_does_not_fit(change, message, device):
    problem = Problem((3, 4, 5), "dirichlet", "box", device=device)
    moved = {name: tensor.to(device) for name, tensor in change.items()}
    given = dict(u=problem.field(torch.float64), z=problem.direction(), p=problem.direction(), r=problem.direction())
    given |= dict(f=problem.field(torch.float64), lengths=torch.zeros(2, dtype=torch.float64, device=problem.device))
    u, z, p, r, f, lengths = {**given, **moved}.values()
    with pytest.raises(RuntimeError, match=message):
        conjugate_direction_update(u, z, [p], r, f, *problem.operator, lengths, 1.0)


@pytest.mark.parametrize("name", ["z", "direction", "r"])
def test_line_search_refuses_what_does_not_fit(name, device):
    problem = Problem((3, 4, 5), "dirichlet", "box", device=device)
    rows = dict(z=problem.direction(), direction=problem.direction(), r=problem.direction())
    rows[name] = rows[name][..., :16].contiguous()
    with pytest.raises(RuntimeError, match=f"{name} must have the shape of rows in halves"):
        conjugate_line_search(rows["z"], [rows["direction"]], rows["r"], problem.hierarchy)


def test_no_more_than_eight_directions(device):
    problem = Problem((3, 4, 5), "dirichlet", "box", device=device)
    z, r, *directions = problem.directions(11)
    with pytest.raises(RuntimeError, match="conjugate_line_search: directions must be at most 8"):
        conjugate_line_search(z, directions, r, problem.hierarchy)
    u, f = problem.field(torch.float64), problem.field(torch.float64)
    with pytest.raises(RuntimeError, match="conjugate_direction_step: directions must be at most 8"):
        problem.step(u, z, directions, r, f, 1.0, [0.0] * 9, 1.0)
