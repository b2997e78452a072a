import numpy as np
import pytest
import torch

from fastsciml.data import DarcyFlow, NavierStokes, OperatorData, generate, load_operator_data

DARCY = DarcyFlow(17, refine=1)
FLOW = NavierStokes(16, 1e-3, time=0.1, records=3, step=0.02)


class _Noise:
    """A problem of one's own, which counts."""

    about = {"name": "noise", "values": (1, 2)}  # noqa: RUF012

    def __init__(self):
        self.drawn = []

    def sample(self, batch, *, generator, device, dtype):
        self.drawn.append(batch)
        x = torch.randn(batch, 1, 16, generator=generator, device=device, dtype=dtype)
        return OperatorData(x, 2 * x)


def _interrupted_after(done):
    def progress(now, total):
        if now >= done:
            raise KeyboardInterrupt

    return progress


@pytest.mark.parametrize("problem", [DARCY, FLOW, _Noise()], ids=["darcy", "navier_stokes", "own"])
def test_an_interruption_does_not_change_a_bit(tmp_path, problem):
    whole = generate(problem, 11, tmp_path / "whole.npz", seed=3, chunk=4)
    with pytest.raises(KeyboardInterrupt):
        generate(problem, 11, tmp_path / "parts.npz", seed=3, chunk=4, progress=_interrupted_after(8))
    assert not (tmp_path / "parts.npz").exists()
    parts = generate(problem, 11, tmp_path / "parts.npz", seed=3, chunk=4)
    assert torch.equal(parts.x, whole.x)
    assert torch.equal(parts.y, whole.y)
    assert (tmp_path / "parts.npz").read_bytes() == (tmp_path / "whole.npz").read_bytes()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["parts.npz", "whole.npz"]


def test_finished_chunks_are_kept_and_the_order_does_not_matter(tmp_path):
    whole = generate(_Noise(), 11, tmp_path / "whole.npz", chunk=4)
    with pytest.raises(KeyboardInterrupt):
        generate(_Noise(), 11, tmp_path / "parts.npz", chunk=4, progress=_interrupted_after(8))
    (tmp_path / "parts.npz.chunks" / "000000.npz").unlink()
    problem, seen = _Noise(), []
    parts = generate(problem, 11, tmp_path / "parts.npz", chunk=4, progress=lambda *now: seen.append(now))
    assert problem.drawn == [4, 3]
    assert seen == [(4, 11), (8, 11), (11, 11)]
    assert torch.equal(parts.x, whole.x)


def test_a_broken_chunk_is_drawn_again(tmp_path):
    whole = generate(_Noise(), 8, tmp_path / "whole.npz", chunk=4)
    with pytest.raises(KeyboardInterrupt):
        generate(_Noise(), 8, tmp_path / "parts.npz", chunk=4, progress=_interrupted_after(8))
    file = tmp_path / "parts.npz.chunks" / "000001.npz"
    file.write_bytes(file.read_bytes()[:100])
    problem = _Noise()
    assert torch.equal(generate(problem, 8, tmp_path / "parts.npz", chunk=4).y, whole.y)
    assert problem.drawn == [4]


def test_the_file_holds_what_is_returned_and_what_made_it(tmp_path):
    data = generate(DARCY, 3, tmp_path / "darcy.npz", seed=5, chunk=2, dtype=torch.float64)
    found = load_operator_data(tmp_path / "darcy.npz")
    assert torch.equal(found.x, data.x)
    assert torch.equal(found.y, data.y)
    assert found.x.dtype == torch.float64
    assert {"name": "darcy", "resolution": 17, "seed": 5, "samples": 3, "chunk": 2}.items() <= found.about.items()


def test_chunks_and_seeds_have_other_samples(tmp_path):
    data = [generate(_Noise(), 40, tmp_path / f"{seed}.npz", seed=seed, chunk=4) for seed in range(3)]
    rows = np.concatenate([d.x[:, 0].numpy() for d in data])
    assert len(np.unique(rows, axis=0)) == 120
    assert abs(np.corrcoef(rows) - np.eye(120)).max() < 0.99


def test_a_finished_file_is_not_made_again(tmp_path):
    first = generate(_Noise(), 5, tmp_path / "noise.npz")
    problem = _Noise()
    assert torch.equal(generate(problem, 5, tmp_path / "noise.npz").x, first.x)
    assert problem.drawn == []


def test_other_data_are_not_overwritten(tmp_path):
    generate(_Noise(), 5, tmp_path / "noise.npz")
    before = (tmp_path / "noise.npz").read_bytes()
    for other in ({"samples": 6}, {"seed": 1}, {"chunk": 3}, {"dtype": torch.float64}):
        with pytest.raises(ValueError, match="path must not hold other data"):
            generate(_Noise(), **{"samples": 5, "path": tmp_path / "noise.npz", **other})
    assert (tmp_path / "noise.npz").read_bytes() == before


def test_chunks_of_other_data_are_told(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        generate(_Noise(), 8, tmp_path / "noise.npz", chunk=4, progress=_interrupted_after(4))
    with pytest.raises(ValueError, match=r"chunks of other data beside it, and .*noise.npz.chunks holds such"):
        generate(_Noise(), 8, tmp_path / "noise.npz", chunk=4, seed=1)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"samples": 0}, "samples must be at least 1"),
        ({"chunk": 0}, "chunk must be at least 1"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"dtype": torch.float16}, "dtype must be"),
        ({"path": "noise.pt"}, r"path must end in .npz"),
        ({"path": "missing/noise.npz"}, "path must lie in a folder that exists"),
    ],
)
def test_bad_input_is_refused(tmp_path, monkeypatch, changed, sentence):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=sentence):
        generate(_Noise(), **{"samples": 2, "path": "noise.npz", **changed})
    assert list(tmp_path.iterdir()) == []
