"""Linear attention against its definition in float64, and the definition against the recurrence."""

from itertools import pairwise

import pytest
import torch
from linear_attention_cases import Case, error, with_gradients
from torch.autograd import gradcheck, gradgradcheck

from fastsciml.ops import linear_attention

DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]
# What a kernel may add to twice the error of plain PyTorch in float32; in float64 that is the reference itself.
ROUNDING = {torch.float32: 5e-7, torch.float64: 1e-13, torch.bfloat16: 3e-3, torch.float16: 4e-4}
# On a GPU, scores and states are rounded to bfloat16, and float16 is multiplied as TF32.
ROUNDING_ON_CUDA = ROUNDING | {torch.bfloat16: 2.5e-2, torch.float16: 2e-3}
# The decay's gradient is a difference of sums that are made in two different ways, so rounding does not cancel.
DIFFERENCE = 8e-6
LENGTHS = [1, 63, 100, 2000]


# Not the host runtime of tests/conftest.py: the kernels for CUDA are Triton's (tests/kernels).
@pytest.fixture(params=["cpu", *(["cuda"] if torch.cuda.is_available() else [])])
def device(request):
    return request.param


def check_against_definition(case):
    tensors = case.tensors()
    exact = with_gradients(case.definition, {name: t.double() for name, t in tensors.items()}, case.dtype)
    plain = with_gradients(case.definition, {name: t.to(case.real) for name, t in tensors.items()}, case.dtype)
    ours = with_gradients(case.ours, tensors, case.dtype)
    assert ours["out"].dtype == case.dtype
    assert ours["last"].dtype == case.real
    rounding = (ROUNDING if case.device == "cpu" else ROUNDING_ON_CUDA)[case.dtype]
    for name, reference in exact.items():
        assert ours[name].shape == reference.shape
        more = DIFFERENCE if name == "gradient of decay" else 0
        assert error(ours[name], reference) <= 2 * error(plain[name], reference) + rounding + more, name


def test_the_definition_is_the_recurrence():
    case = Case(length=130, decay="token", stated=True)
    q, k, v, decay, state = case.tensors().values()
    S, expected = state, []
    for t in range(case.length):
        k_t, v_t = (x.repeat_interleave(2, 1)[:, :, t] for x in (k, v))
        S = decay[:, :, t, None, None] * S + k_t[..., :, None] * v_t[..., None, :]
        expected.append(case.scale * (q[:, :, t, None] @ S).squeeze(2))
    out, last = case.definition(q, k, v, decay, state)
    torch.testing.assert_close(out, torch.stack(expected, 2))
    torch.testing.assert_close(last, S)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("decay", [None, "head", "token"])
@pytest.mark.parametrize("length", LENGTHS)
def test_causal_agrees_with_the_float64_definition(length, decay, dtype, device):
    check_against_definition(Case(length=length, decay=decay, stated=True, dtype=dtype, device=device))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("stated", [True, False], ids=["state", "no-state"])
@pytest.mark.parametrize("length", LENGTHS)
def test_bidirectional_agrees_with_the_float64_definition(length, stated, dtype, device):
    check_against_definition(Case(length=length, causal=False, stated=stated, dtype=dtype, device=device))


@pytest.mark.parametrize("widths", [(1, 1), (64, 64), (128, 16), (7, 130), (256, 256)], ids=str)
@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])
def test_any_width_and_any_share_of_heads(causal, groups, widths, device):
    depth, width = widths
    decay = "token" if causal else None
    check_against_definition(
        Case(1, 4, groups, 150, depth, width, causal, decay, True, dtype=torch.float32, device=device)
    )


@pytest.mark.parametrize("lengths", [(5, 0, 1500, 63), (1,), (64, 1024, 1025)], ids=str)
@pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])
def test_sequences_of_several_lengths_are_separate_sequences(causal, lengths, device):
    case = Case(lengths=lengths, causal=causal, decay="token" if causal else None, stated=True, dtype=torch.float32,
                device=device)  # fmt: skip
    check_against_definition(case)
    tensors = case.tensors()
    out, last = case.ours(**tensors)
    state = tensors.pop("state")
    ends = case.cu_seqlens.tolist()
    case.cu_seqlens = None
    for i, (start, end) in enumerate(pairwise(ends)):
        if start < end:
            piece = {name: tensor[:, :, start:end] for name, tensor in tensors.items()}
            alone, last_alone = case.ours(**piece, state=state[i : i + 1])
            torch.testing.assert_close(out[:, :, start:end], alone)
            torch.testing.assert_close(last[i : i + 1], last_alone)
        else:
            torch.testing.assert_close(last[i], state[i])


@pytest.mark.parametrize("normalize", [None, "sum"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_pieces_equal_the_whole(normalize, dtype, device):
    case = Case(length=700, decay="token", dtype=dtype, device=device)
    tensors = case.tensors()
    tensors = {name: t.abs() if name in "qk" else t for name, t in tensors.items()}
    options = {"causal": True, "return_state": True, "normalize": normalize}
    whole, last = linear_attention(**tensors, **options)
    state, outputs = None, []
    for start, end in ((0, 1), (1, 130), (130, 640), (640, 700)):
        piece = {name: tensor[:, :, start:end] for name, tensor in tensors.items()}
        out, state = linear_attention(**piece, **options, state=state)
        outputs.append(out)
    assert error(torch.cat(outputs, 2), whole) < 1e-6
    assert error(state, last) < 1e-6


@pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])
def test_normalised_weights_sum_to_one(causal, device):
    case = Case(length=200, causal=causal, decay="head" if causal else None, device=device)
    tensors = case.tensors()
    tensors |= {"q": tensors["q"].abs(), "k": tensors["k"].abs()}
    options = {"causal": causal, "decay": tensors.get("decay"), "normalize": "sum"}
    ones = linear_attention(tensors["q"], tensors["k"], torch.ones_like(tensors["v"]), **options)
    torch.testing.assert_close(ones, torch.ones_like(ones))
    weighted = linear_attention(tensors["q"], tensors["k"], tensors["v"], **options, scale=0.3)
    num, _ = case.definition(**tensors)
    den, _ = case.definition(**(tensors | {"v": torch.ones_like(tensors["v"])}))
    torch.testing.assert_close(weighted, num / den)


@pytest.mark.parametrize("lengths", [None, (3, 0, 4)], ids=["batch", "sequences"])
@pytest.mark.parametrize("decay", [None, "head", "token"])
@pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])
def test_gradients_of_first_and_second_order(causal, decay, lengths):
    if decay and not causal:
        pytest.skip("nothing decays without causal")
    case = Case(1, 2, 1, 7, 2, 3, causal, decay, True, lengths)
    names, tensors = zip(*case.tensors().items(), strict=True)
    leaves = [t.requires_grad_() for t in tensors]

    def function(*values):
        return case.ours(**dict(zip(names, values, strict=True)))

    assert gradcheck(function, leaves)
    assert gradgradcheck(function, leaves)


@pytest.mark.parametrize("decay", [None, "token"])
def test_gradients_across_segments(decay):
    """Sequences long enough for several segments, whose states are made apart from each other."""
    case = Case(1, 1, 1, 2100, 2, 1, True, decay, True)
    tensors = case.tensors()
    exact, ours = (with_gradients(f, tensors) for f in (case.definition, case.ours))
    for name, reference in exact.items():
        assert error(ours[name], reference) < 1e-12, name


def test_normalised_gradients():
    case = Case(1, 2, 1, 5, 2, 3, True, "token")
    names, tensors = zip(*case.tensors().items(), strict=True)
    leaves = [(t.abs() + 0.1 if name in "qk" else t).requires_grad_() for name, t in zip(names, tensors, strict=True)]

    def function(q, k, v, decay):
        return linear_attention(q, k, v, decay=decay, causal=True, normalize="sum")

    assert gradcheck(function, leaves)


@pytest.mark.parametrize("heads", [1, 2, 3])
@pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])
def test_the_number_of_threads_changes_no_bit(heads, causal):
    case = Case(1, heads, 1, 5000, 24, 16, causal, "token" if causal else None, True, dtype=torch.float32)
    tensors, results, before = case.tensors(), [], torch.get_num_threads()
    try:
        for threads in (1, 2, 3, 2):
            torch.set_num_threads(threads)
            results.append(with_gradients(case.ours, tensors))
    finally:
        torch.set_num_threads(before)
    for result in results[1:]:
        for name, tensor in results[0].items():
            assert torch.equal(tensor, result[name]), name


@pytest.mark.parametrize("stated", [True, False], ids=["state", "no-state"])
@pytest.mark.parametrize("lengths", [None, (3, 0, 70)], ids=["batch", "sequences"])
def test_opcheck(lengths, stated):
    case = Case(2, 4, 2, 70, 5, 6, True, "token", stated, lengths)
    tensors = {name: t.requires_grad_() for name, t in case.tensors().items()}
    log_decay = tensors.pop("decay").detach().log().requires_grad_()
    state = tensors.pop("state", None)
    arguments = (*tensors.values(), log_decay, state, case.cu_seqlens, True, 0.5)
    library = torch.ops.fastsciml
    torch.library.opcheck(library.linear_attention.default, arguments)
    out, last = (t.detach() for t in library.linear_attention(*arguments))
    if lengths is not None:  # the second backward pass splits sequences by values that no trace knows
        arguments = tuple(t.detach() if isinstance(t, torch.Tensor) else t for t in arguments)
    torch.library.opcheck(library.linear_attention_backward.default, (out, last, *arguments))


@pytest.mark.parametrize("options", [{}, {"decay": "token", "stated": True}, {"causal": False}], ids=str)
def test_compiles_without_a_graph_break(options):
    case = Case(**options, dtype=torch.float32)
    tensors = case.tensors()
    compiled = torch.compile(case.ours, fullgraph=True, backend="aot_eager")
    expected, found = with_gradients(case.ours, tensors), with_gradients(compiled, tensors)
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor)


def test_layouts_that_are_not_contiguous_are_taken(device):
    case = Case(dtype=torch.float32, device=device)
    tensors = case.tensors()
    expected = with_gradients(case.ours, tensors)
    strided = {name: t.transpose(1, 2).contiguous().transpose(1, 2) for name, t in tensors.items()}
    for name, tensor in with_gradients(case.ours, strided).items():
        torch.testing.assert_close(tensor, expected[name])


@pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])
def test_a_device_without_kernels_goes_by_the_definition(causal, monkeypatch):
    case = Case(causal=causal, dtype=torch.float32)
    tensors = case.tensors()
    expected = case.ours(**tensors)
    monkeypatch.setattr("fastsciml.ops.triton_kernels.KERNEL_DEVICES", ())
    torch.testing.assert_close(case.ours(**tensors), expected)


def test_no_tokens_leave_the_state():
    state = torch.randn(2, 4, 5, 6)
    q, v = torch.zeros(2, 4, 0, 5), torch.zeros(2, 4, 0, 6)
    out, last = linear_attention(q, q, v, causal=True, state=state, return_state=True)
    assert out.shape == (2, 4, 0, 6)
    torch.testing.assert_close(last, state)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_chunks_before_a_nan_are_untouched(value):
    case = Case(length=300, dtype=torch.float32)
    tensors = case.tensors()
    expected, _ = case.ours(**tensors)
    tensors["v"][:, :, 150] = value
    out, _ = case.ours(**tensors)
    torch.testing.assert_close(out[:, :, :128], expected[:, :, :128])
    assert not out[:, :, 150:].isfinite().any()


def test_float16_sums_beyond_its_range():
    """The state is float32: what does not fit float16 decays and is scaled before it comes out."""
    q = k = torch.full((1, 1, 4000, 16), 8.0, dtype=torch.float16)
    v = torch.full((1, 1, 4000, 16), 8.0, dtype=torch.float16)
    out, last = linear_attention(q, k, v, causal=True, return_state=True, scale=1 / 1024**2)
    assert float(last.max()) == 4000 * 64
    torch.testing.assert_close(out[0, 0, -1, 0].item(), 16 * 8 * 4000 * 64 / 1024**2, rtol=1e-3, atol=0)


def test_decay_of_nearly_nothing_is_exact():
    case = Case(decay="token", dtype=torch.float32)
    tensors = case.tensors()
    tensors["decay"] = torch.full_like(tensors["decay"], 1e-30)
    out, _ = case.ours(**tensors)
    k, v = (tensors[name].repeat_interleave(2, 1) for name in ("k", "v"))
    torch.testing.assert_close(out, case.scale * (tensors["q"] * k).sum(-1, keepdim=True) * v)


def refused(**changes):
    case = Case(heads=6, groups=3, length=10, depth=4, width=5)
    return case.tensors() | {"causal": True} | changes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"k": torch.zeros(2, 4, 10, 4)}, r"k must have a number of heads that divides the 6 of q, got 4"),
        ({"v": torch.zeros(2, 6, 10, 5)}, r"v must have the heads of k, 3, got 6"),
        ({"k": torch.zeros(2, 3, 9, 4)}, r"k must have the length of q, 10, got 9"),
        ({"v": torch.zeros(2, 3, 11, 5)}, r"v must have the length of q, 10, got 11"),
        ({"k": torch.zeros(2, 3, 10, 7)}, r"k must have the width of q, 4, got 7"),
        ({"v": torch.zeros(1, 3, 10, 5)}, r"v must have the batch of q, 2, got 1"),
        ({"q": torch.zeros(6, 10, 4)}, r"q must be \[batch, heads, length, width\]"),
        ({"state": torch.zeros(2, 3, 4, 5)}, r"state must have shape \(2, 6, 4, 5\), got \(2, 3, 4, 5\)"),
        ({"decay": torch.zeros(6)}, r"decay must be in \(0, 1\]"),
        ({"decay": torch.full((6,), -0.5)}, r"decay must be in \(0, 1\]"),
        ({"decay": torch.full((2, 6, 10), 1.5)}, r"decay must be in \(0, 1\]"),
        ({"decay": torch.full((6,), torch.nan)}, r"decay must be in \(0, 1\]"),
        ({"decay": torch.ones(3)}, r"decay must have shape \(6,\) or \(2, 6, 10\)"),
        ({"decay": torch.ones(6), "causal": False}, r"decay needs causal=True"),
        ({"cu_seqlens": torch.tensor([0, 10])}, r"cu_seqlens needs a batch of one"),
        ({"cu_seqlens": torch.tensor([0])}, r"cu_seqlens must be \[sequences \+ 1\]"),
        ({"normalize": "softmax"}, r"normalize must be None or 'sum', got 'softmax'"),
    ],
    ids=lambda value: None if isinstance(value, dict) else value[:40],
)
def test_refuses_what_does_not_fit(changes, message):
    tensors = {name: t.float() if isinstance(t, torch.Tensor) and t.dtype == torch.float64 else t
               for name, t in refused(**changes).items()}  # fmt: skip
    with pytest.raises(ValueError, match=message):
        linear_attention(**tensors)


@pytest.mark.parametrize("ends", [[0, 5, 4, 10], [1, 10], [0, 9], [0, 11]], ids=str)
def test_refuses_ends_that_do_not_run_through_the_tokens(ends):
    q = torch.zeros(1, 2, 10, 4)
    with pytest.raises(ValueError, match="cu_seqlens must run from 0 to the length 10 without decreasing"):
        linear_attention(q, q, q, causal=True, cu_seqlens=torch.tensor(ends))
    with pytest.raises(RuntimeError, match="cu_seqlens must"):
        torch.ops.fastsciml.linear_attention(q, q, q, None, None, torch.tensor(ends), True, 1.0)


def test_refuses_dtypes_that_do_not_fit():
    q = torch.zeros(1, 2, 10, 4)
    with pytest.raises(TypeError, match=r"k must have the dtype of q, torch\.float32, got torch\.float64"):
        linear_attention(q, q.double(), q, causal=True)
    with pytest.raises(TypeError, match=r"q must be floating, got torch\.int64"):
        linear_attention(q.long(), q.long(), q.long(), causal=True)
    with pytest.raises(TypeError, match=r"cu_seqlens must be int32 or int64"):
        linear_attention(q, q, q, causal=True, cu_seqlens=torch.tensor([0.0, 10.0]))
