"""Linear attention on a stream, token after token: `python examples/streaming_attention.py [steps]`.

Two layers learn to forecast a noisy coordinate of the chaotic Lorenz system, four numbers a token, and then read unseen
streams token by token, with a state of fixed size for a memory. Prints the difference from reading all at once, errors,
and what one more token costs, beside softmax attention with a cache of keys and values. Writes streaming_attention.png.
"""

import sys
import time
from statistics import median

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from fastsciml.nn import LinearSelfAttention, SoftmaxSelfAttention

NUMBERS, SPACING, NOISE = 4, 0.04, 0.1  # in a token, in time, of a signal with deviation 1
WIDTH, HEADS, LENGTH = 64, 4, 40  # of training
DECAY = torch.tensor([0.3, 0.6, 0.8, 0.9])  # what a head's state keeps from token to token: memories short and long
START = 1000  # numbers after which a stream is on the attractor
POSITIONS = [2**k for k in range(6, 17)]
LINEAR, SOFTMAX = "#1f4e79", "#c05020"


def lorenz(streams: int, tokens: int) -> Tensor:
    """The first coordinate over 8, by Runge and Kutta's method, as [streams, tokens, NUMBERS]."""

    def slope(u):
        x, y, z = u
        return torch.stack([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z])

    u, h, taken = torch.randn(3, streams, dtype=torch.float64), SPACING / 4, []
    for step in range(4 * (START + tokens * NUMBERS)):
        a = slope(u)
        b = slope(u + h / 2 * a)
        c = slope(u + h / 2 * b)
        u = u + h / 6 * (a + 2 * b + 2 * c + slope(u + h * c))
        if step >= 4 * START and step % 4 == 0:
            taken.append(u[0] / 8)
    return torch.stack(taken, 1).float().unflatten(1, (tokens, NUMBERS))


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = LinearSelfAttention(WIDTH, HEADS, causal=True)
        self.before, self.after = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.mlp = nn.Sequential(
            nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 2 * WIDTH), nn.GELU(), nn.Linear(2 * WIDTH, WIDTH)
        )

    def forward(self, tokens, state):
        read, state = self.attention.stream(self.before(tokens), state, DECAY)
        tokens = tokens + self.after(read)
        return tokens + self.mlp(tokens), state


class Forecaster(nn.Module):
    """From tokens [B, N, NUMBERS] to what follows each of them, and from each layer's state to the next."""

    def __init__(self):
        super().__init__()
        self.inwards, self.outwards = nn.Linear(NUMBERS, WIDTH), nn.Linear(WIDTH, NUMBERS)
        self.layers = nn.ModuleList(Layer() for _ in range(2))

    def forward(self, numbers, states=(None, None)):
        tokens, after = self.inwards(numbers), []
        for layer, state in zip(self.layers, states, strict=True):
            tokens, state = layer(tokens, state)
            after.append(state)
        return self.outwards(tokens), after


def noisy(signal: Tensor) -> Tensor:
    return signal + NOISE * torch.randn_like(signal)


def trained(signal: Tensor, steps: int) -> Forecaster:
    model = Forecaster()
    optimiser = torch.optim.Adam(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps)
    for _ in range(steps):
        first = int(torch.randint(signal.shape[1] - LENGTH, ()))
        truth = signal[torch.randint(len(signal), (32,)), first : first + LENGTH + 1]
        forecast, _ = model(noisy(truth[:, :-1]))
        optimiser.zero_grad()
        (forecast - truth[:, 1:]).square().mean().backward()
        optimiser.step()
        schedule.step()
    return model.requires_grad_(False)


def linear_forecasts(signal: Tensor, seen: Tensor, past: int = 8) -> Tensor:
    """What follows each token from the `past`-th on, by the best linear map of the last `past` tokens."""
    windows = [s.flatten(1).unfold(1, past * NUMBERS, NUMBERS) for s in (noisy(signal), seen)]
    weights = torch.linalg.lstsq(windows[0][:, :-1].flatten(0, 1), signal[:, past:].flatten(0, 1)).solution
    return windows[1] @ weights


def milliseconds(step) -> float:
    times = [time.perf_counter()]
    for _ in range(30):
        step()
        times.append(time.perf_counter())
    return 1e3 * median(times[i + 1] - times[i] for i in range(30))


def costs_of_a_token(width: int = 256) -> dict[str, list[tuple[float, int]]]:
    """By position, milliseconds and the bytes that are kept, of a layer of each kind with the same weights."""
    linear, softmax = (kind(width, HEADS, causal=True) for kind in (LinearSelfAttention, SoftmaxSelfAttention))
    softmax.load_state_dict(linear.state_dict())
    token, stream = torch.randn(1, 1, width), torch.randn(1, POSITIONS[-1], width)
    keys, values = (softmax.heads(stream, weight) for weight in (softmax.key, softmax.value))
    costs, state, read = {"linear attention": [], "softmax attention": []}, None, 0

    def softmax_step():
        query, key, value = (softmax.heads(token, weight) for weight in (softmax.query, softmax.key, softmax.value))
        seen_keys[:, :, -1:], seen_values[:, :, -1:] = key, value
        return softmax.joined(scaled_dot_product_attention(query, seen_keys, seen_values))

    for position in POSITIONS:
        _, state = linear.stream(stream[:, read:position], state, DECAY)
        read, seen_keys, seen_values = position, keys[:, :, :position], values[:, :, :position]
        costs["linear attention"].append((milliseconds(lambda: linear.stream(token, state, DECAY)), state.nbytes))  # noqa: B023
        costs["softmax attention"].append((milliseconds(softmax_step), 2 * seen_keys.nbytes))
    return costs


torch.set_num_threads(1)  # a token is too little work for more
torch.manual_seed(0)
train, test = lorenz(1024, 290).split((896, 128))
model = trained(train, int(sys.argv[1]) if len(sys.argv) > 1 else 2500)
seen, following = noisy(test[:, :250]), test[:, 1:251]

with torch.no_grad():
    forecasts, states = [], (None, None)
    for token in seen.split(1, 1):
        forecast, states = model(token, states)
        forecasts.append(forecast)
    streamed, whole = torch.cat(forecasts, 1), model(seen)[0]
    own = [forecast]
    while len(own) < 30:
        forecast, states = model(forecast, states)
        own.append(forecast)
    costs = costs_of_a_token()

error = (streamed - following).square().mean((0, 2)).sqrt()
linear_error = float((linear_forecasts(train, seen) - following[:, 7:]).square().mean().sqrt())
print(f"token by token and all at once: relative difference {float((streamed - whole).norm() / whole.norm()):.1e}")
print(f"error of the next {NUMBERS} numbers: {error.mean():.3f}, of the best linear forecast {linear_error:.3f}")
for name, rows in costs.items():
    at = [f"{t:.2f} ms and {kept:,} bytes at token {p:,}" for p, (t, kept) in zip(POSITIONS, rows, strict=True)]
    print(f"{name}: {at[0]}, {at[-1]}")

figure = Figure(figsize=(13, 7.4), layout="constrained")
axes = figure.subplot_mosaic([["stream"] * 3, ["error", "time", "memory"]])
shown, clock = 40 * NUMBERS, SPACING * torch.arange(1 - 40 * NUMBERS, 30 * NUMBERS + 1)
axes["stream"].plot(clock, test[0, 210:280].flatten(), color="0.6", label="truth")
axes["stream"].plot(clock[:shown], seen[0, 210:].flatten(), ".", color="0.3", markersize=4, label="read, with noise")
axes["stream"].plot(
    clock[shown:], torch.cat(own, 1)[0].flatten(), color=LINEAR, label="forecast, reading its own forecasts"
)
axes["stream"].axvline(0, color="0.8", zorder=0)
axes["stream"].set(title="An unseen Lorenz stream: 250 tokens read, then forecast", xlabel="time", ylim=(-2.7, 3.3))
axes["stream"].legend(ncols=3, loc="upper left")
axes["error"].axvspan(1, LENGTH, color="0.93", label="lengths trained on")
axes["error"].plot(range(1, 251), error, color=LINEAR, linewidth=1, label="linear attention")
axes["error"].axhline(linear_error, color="0.5", linestyle="--", label="best linear forecast")
axes["error"].set(title=f"RMS error of the next {NUMBERS} numbers", xlabel="tokens read", ylim=(0, None))
for (name, rows), colour in zip(costs.items(), (LINEAR, SOFTMAX), strict=True):
    times, kept = zip(*rows, strict=True)
    axes["time"].loglog(POSITIONS, times, "o-", color=colour, markersize=4, label=name)
    axes["memory"].loglog(POSITIONS, [n / 2**20 for n in kept], "o-", color=colour, markersize=4, label=name)
axes["time"].set(title="Time of one more token, one thread", xlabel="tokens read", ylabel="ms, width 256")
axes["memory"].set(title="Memory of what was read", xlabel="tokens read", ylabel="MiB, width 256")
for name in ("error", "time", "memory"):
    axes[name].grid(color="0.9")
    axes[name].legend(fontsize="small", loc="center right" if name == "error" else "upper left")
figure.savefig("streaming_attention.png", dpi=110)
