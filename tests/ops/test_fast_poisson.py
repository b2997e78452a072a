import functools

import numpy as np
import pytest
import scipy.sparse as sparse
import scipy.sparse.linalg
import torch
from torch.autograd import gradcheck, gradgradcheck

from fastsciml.ops import Transform, axis_eigenvalues, axis_weights, fast_poisson, is_fast
from fastsciml.ops.fast_poisson import fast_poisson_definition

TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-14}
MIXED = [
    (Transform.PERIODIC, Transform.DIRICHLET_NEUMANN, Transform.VERTEX_NEUMANN),
    (Transform.VERTEX_DIRICHLET, Transform.PERIODIC, Transform.NEUMANN_DIRICHLET),
    (Transform.VERTEX_NEUMANN_DIRICHLET, Transform.VERTEX_NEUMANN, Transform.PERIODIC),
    (Transform.NEUMANN, Transform.VERTEX_DIRICHLET_NEUMANN, Transform.DIRICHLET),
]
SINGULAR = (Transform.PERIODIC, Transform.NEUMANN, Transform.VERTEX_NEUMANN)
CELLS = {
    Transform.DIRICHLET: (2, 2),
    Transform.NEUMANN: (0, 0),
    Transform.DIRICHLET_NEUMANN: (2, 0),
    Transform.NEUMANN_DIRICHLET: (0, 2),
}


def arguments(shape, transforms, dtype=torch.float64, alpha=0.7, batch=1):
    f = torch.randn(batch, *shape, dtype=torch.float64)
    eigenvalues = [axis_eigenvalues(n, h, t) for n, h, t in zip(shape, (0.5, 1.0, 2.0), transforms, strict=True)]
    return f.to(dtype), list(transforms), [e.to(dtype) for e in eigenvalues], alpha


def relative_error(out, reference):
    return float((out.double() - reference).norm() / reference.norm().clamp(min=1e-300))


def second_difference(n, h, transform):
    """The matrix of one axis, from its couplings: [n, n]."""
    matrix = sparse.lil_array((n, n))
    for a in range(n if transform == Transform.PERIODIC else n - 1):
        b = (a + 1) % n
        for i, j in ((a, b), (b, a)):
            matrix[i, i] += 1
            matrix[i, j] -= 1
    lower, upper = CELLS.get(transform, (0, 0))
    if transform in (Transform.VERTEX_DIRICHLET, Transform.VERTEX_DIRICHLET_NEUMANN):
        lower = 1
    if transform in (Transform.VERTEX_DIRICHLET, Transform.VERTEX_NEUMANN_DIRICHLET):
        upper = 1
    matrix[0, 0] += lower
    matrix[n - 1, n - 1] += upper
    if transform in (Transform.VERTEX_NEUMANN, Transform.VERTEX_NEUMANN_DIRICHLET):
        matrix[[0]] *= 2
    if transform in (Transform.VERTEX_NEUMANN, Transform.VERTEX_DIRICHLET_NEUMANN):
        matrix[[n - 1]] *= 2
    return sparse.csr_array(matrix) / h**2


def box_matrix(shape, spacing, transforms, alpha):
    axes = [second_difference(n, h, t) for n, h, t in zip(shape, spacing, transforms, strict=True)]
    return functools.reduce(sparse.kronsum, reversed(axes)) + alpha * sparse.eye_array(int(np.prod(shape)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("transform", Transform, ids=str)
def test_lines_of_every_length_agree_with_the_definition(transform, dtype):
    lengths = [*range(1, 34), 35, 45, 49, 63, 64, 65, 96, 105, 127, 128, 129, 210, 243, 255, 256, 257, 343, 512]
    for n in lengths:
        f, transforms, eigenvalues, alpha = arguments((1, 1, n), [transform] * 3, dtype, batch=3)
        reference = fast_poisson_definition(f.double(), transforms, [e.double() for e in eigenvalues], alpha)
        u = fast_poisson(f, transforms, eigenvalues, alpha)
        assert relative_error(u, reference) <= TOLERANCE[dtype], n


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("transforms", [*((t,) * 3 for t in Transform), *MIXED], ids=str)
@pytest.mark.parametrize(
    "shape", [(1, 1, 1), (7, 1, 13), (1, 5, 18), (9, 16, 1), (6, 1, 1), (2, 3, 2), (5, 8, 37), (16, 17, 64)], ids=str
)
def test_agrees_with_the_float64_definition(shape, transforms, dtype):
    f, transforms, eigenvalues, alpha = arguments(shape, transforms, dtype, batch=2)
    reference = fast_poisson_definition(f.double(), transforms, [e.double() for e in eigenvalues], alpha)
    assert relative_error(fast_poisson(f, transforms, eigenvalues, alpha), reference) <= TOLERANCE[dtype]


@pytest.mark.parametrize(
    "transforms", [(Transform.DIRICHLET,) * 3, (Transform.VERTEX_DIRICHLET,) * 3, MIXED[2]], ids=str
)
@pytest.mark.parametrize("shape", [(32, 37, 41), (64, 1, 640), (3, 63, 257)], ids=str)
def test_threads_share_the_work(shape, transforms, threads):
    f, transforms, eigenvalues, alpha = arguments(shape, transforms, batch=3)
    reference = fast_poisson_definition(f, transforms, eigenvalues, alpha)
    assert relative_error(fast_poisson(f, transforms, eigenvalues, alpha), reference) <= 1e-14


@pytest.mark.parametrize("transforms", [*((t,) * 3 for t in Transform), *MIXED], ids=str)
@pytest.mark.parametrize("shape", [(4, 3, 5), (3, 1, 8), (1, 1, 9), (2, 6, 2)], ids=str)
def test_inverts_the_matrix(shape, transforms):
    alpha, spacing = 0.3, (0.5, 1.0, 2.0)
    f, transforms, eigenvalues, _ = arguments(shape, transforms)
    matrix = box_matrix(shape, spacing, transforms, alpha)
    expected = scipy.sparse.linalg.spsolve(matrix.tocsc(), f.flatten().numpy())
    for solve in (fast_poisson, fast_poisson_definition):
        u = solve(f, transforms, eigenvalues, alpha)
        torch.testing.assert_close(u.flatten(), torch.from_numpy(expected), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("transform", SINGULAR, ids=str)
@pytest.mark.parametrize("shape", [(4, 6, 5), (7, 1, 8), (1, 1, 12)], ids=str)
def test_a_singular_box_gives_the_solution_without_the_free_constant(shape, transform):
    f, transforms, eigenvalues, _ = arguments(shape, [transform] * 3)
    weights = functools.reduce(np.multiply.outer, [axis_weights(n, transform).numpy() for n in shape])
    f -= float((torch.from_numpy(weights) * f).sum() / weights.sum())
    u = fast_poisson(f, transforms, eigenvalues)
    matrix = box_matrix(shape, (0.5, 1.0, 2.0), transforms, 0.0)
    np.testing.assert_allclose(matrix @ u.flatten().numpy(), f.flatten().numpy(), atol=1e-12)
    assert abs(float((torch.from_numpy(weights) * u).sum())) < 1e-12
    constant = torch.ones_like(f)
    assert float(fast_poisson(constant, transforms, eigenvalues).abs().max()) < 1e-12


@pytest.mark.parametrize("transforms", [(Transform.DIRICHLET,) * 3, *MIXED], ids=str)
def test_gradients_of_first_and_second_order(transforms):
    f, transforms, eigenvalues, alpha = arguments((3, 4, 5), transforms, batch=2)
    f.requires_grad_()

    def function(v):
        return fast_poisson(v, transforms, eigenvalues, alpha)

    assert gradcheck(function, f)
    assert gradgradcheck(function, f)


@pytest.mark.parametrize("transforms", [(Transform.DIRICHLET,) * 3, MIXED[2]], ids=str)
def test_opcheck(transforms):
    f, transforms, eigenvalues, alpha = arguments((3, 4, 5), transforms)
    f.requires_grad_()
    torch.library.opcheck(
        torch.ops.fastsciml.fast_poisson.default, (f, [int(t) for t in transforms], eigenvalues, alpha)
    )


def test_compiles_without_a_graph_break():
    f, transforms, eigenvalues, alpha = arguments((3, 4, 5), MIXED[0])

    def function(v):
        return fast_poisson(v.sin(), transforms, eigenvalues, alpha).cos()

    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(f), function(f))


def test_which_extents_are_fast():
    assert is_fast(210, Transform.DIRICHLET)
    assert not is_fast(127, Transform.DIRICHLET)
    assert is_fast(127, Transform.VERTEX_DIRICHLET)
    assert is_fast(129, Transform.VERTEX_NEUMANN)
    assert is_fast(1, Transform.VERTEX_NEUMANN)
    assert not is_fast(22, Transform.PERIODIC)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f, t, e: (f[0], t, e), "f must be a non-empty"),
        (lambda f, t, e: (f[:0], t, e), "f must be a non-empty"),
        (lambda f, t, e: (f.half(), t, e), "f must be float32 or float64"),
        (lambda f, t, e: (f.transpose(1, 3), t, e), "f must be contiguous"),
        (lambda f, t, e: (f, t[1:], e), "transforms must have 3 entries"),
        (lambda f, t, e: (f, [9, *t[1:]], e), "transforms must be codes"),
        (lambda f, t, e: (f, [-1, *t[1:]], e), "transforms must be codes"),
        (lambda f, t, e: (f, t, e[1:]), "eigenvalues must be 3 tensors"),
        (lambda f, t, e: (f, t, [e[0].float(), *e[1:]]), "eigenvalues has the wrong dtype"),
        (lambda f, t, e: (f, t, [e[1], *e[1:]]), "eigenvalues must have one entry"),
    ],
)
def test_refuses_what_does_not_fit(change, message):
    f, transforms, eigenvalues, _ = arguments((3, 4, 5), MIXED[0])
    with pytest.raises(RuntimeError, match=message):
        fast_poisson(*change(f, transforms, eigenvalues))
