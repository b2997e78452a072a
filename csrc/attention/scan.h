// The one loop behind linear attention, its gradients and its states (operators.h):
//
//   out_t = x_scale x_t S_t,   S_t = a_t S_{t-1} + y_scale y_t^T z_t   (backward in time, or S of the whole sequence)
//
// A segment walks its chunks from the state at its beginning and keeps what it adds apart from it, so that a state at a
// boundary is the same whether a thread came there segment by segment or the segments' sums were made side by side.
// Which of both happens is up to the number of threads; no bit of the result is.
//
// Flops per token and head, multiply and add counted: 4 depth width + kChunk (depth + width), and 2 depth width more
// where segments are made side by side. Bytes: x, y, z read, out written, once. Called by linear_attention_cpu.cpp.
#pragma once

#include <vector>

#include "attention/rows.h"
#include "attention/sequences.h"
#include "core/lines.h"
#include "core/parallel.h"

namespace fastsciml::attention {

using core::Lines;

template <class Stored, class T = Compute<Stored>>
struct Scan {
  const Sequences& sequences;
  Order order;
  T x_scale, y_scale;
  Heads<const Stored> x, y, z;   // of x's depth, y's depth, z's width
  const T* log_decay;            // [batch, heads, length] or null
  Heads<Stored> out;             // x's heads; where they are fewer, heads that share one are summed
  Heads<const Stored> dot_with;  // for dots; no data: none
  T* dots;                       // [batch, heads, length]: of dot_with and each head's out

  int64_t depth = x.width, width = z.width;
  int64_t padded_width = round_up(width, kLanes<T>);
  int64_t state_size = round_up(depth, std::max<int64_t>(kLanes<T>, kRows)) * padded_width;
  int64_t shared = sequences.heads / x.heads;  // heads that share an x
  Lines<T> states{sequences.boundaries * state_size};
  std::vector<T> decays = std::vector<T>(static_cast<size_t>(sequences.boundaries), T{1});  // segment's, at its end

  T* state(int64_t boundary) { return states.data() + boundary * state_size; }

  // Boundaries of a segment in the order of walking.
  int64_t from(const Sequence& s, int64_t head, int64_t segment) const {
    if (order == Order::kWhole) return sequences.boundary(s, head, s.segments());
    return sequences.boundary(s, head, order == Order::kForward ? segment : segment + 1);
  }
  int64_t to(const Sequence& s, int64_t head, int64_t segment) const {
    return sequences.boundary(s, head, order == Order::kBackward ? segment : segment + 1);
  }
  int64_t first(const Sequence& s, int64_t head) const {
    return sequences.boundary(s, head, order == Order::kBackward ? s.segments() : 0);
  }
  int64_t last(const Sequence& s, int64_t head) const {
    return sequences.boundary(s, head, order == Order::kBackward ? 0 : s.segments());
  }

  // One thread's memory.
  struct Scratch {
    Lines<T> x, y, z, y_transposed, y_weighted, scores, state, added, out, sum;
    Weights<T> weights;

    explicit Scratch(const Scan& scan)
        : x(kChunk * tile_width(scan.depth)),
          y(kChunk * tile_width(scan.depth)),
          z(kChunk * scan.padded_width),
          y_transposed(kChunk * tile_width(scan.depth)),
          y_weighted(scan.log_decay ? kChunk * tile_width(scan.depth) : 0),
          scores(kChunk * kChunk),
          state(scan.state_size),
          added(scan.shared * scan.state_size),
          out(kChunk * scan.padded_width),
          sum(scan.shared > 1 ? kChunk * scan.padded_width : 0) {}

    static int64_t tile_width(int64_t n) { return round_up(n, std::max<int64_t>(kLanes<T>, kRows)); }
  };

  struct Chunk {
    const Sequence& sequence;
    int64_t head, start, count;
  };

  ChunkRows<T> load(const Chunk& chunk, Scratch& scratch) const {
    const auto& [sequence, head, start, count] = chunk;
    const int64_t token = sequence.start + start, heads = sequences.heads;
    scratch.weights.set(log_decay ? log_decay + (sequence.batch * heads + head) * x.length + token : nullptr, count,
                        order);
    const Tile<T> y_tile = load_rows(y.row(sequence.batch, head, heads, token), count, depth, scratch.y.data());
    transpose_rows(y_tile, count, depth, y_scale, scratch.y_transposed.data());
    const Tile<T> z_tile = load_rows(z.row(sequence.batch, head, heads, token), count, width, scratch.z.data());
    return {count, depth, padded_width, nullptr, 0, scratch.y_transposed.data(), z_tile.values, z_tile.pitch};
  }

  // added = total added + y^T z
  void add(const ChunkRows<T>& rows, Scratch& scratch, T* added) const {
    const T* weighted = rows.y_transposed;
    if (scratch.weights.given) {
      weigh_columns(rows.y_transposed, scratch.weights.y, round_up(depth, kRows), scratch.y_weighted.data());
      weighted = scratch.y_weighted.data();
    }
    add_to_state(rows, weighted, scratch.weights.total, added);
  }

  // next = decay from + added
  void join(const T* state_before, T decay, const T* added, T* next) const {
#pragma omp simd
    for (int64_t i = 0; i < state_size; ++i) next[i] = decay * state_before[i] + added[i];
  }

  template <class Body>
  void for_chunks(const Sequence& sequence, int64_t segment, Body body) const {
    const int64_t begin = segment * kSegment, end = std::min(begin + kSegment, sequence.length);
    const int64_t chunks = (end - begin + kChunk - 1) / kChunk;
    for (int64_t i = 0; i < chunks; ++i) {
      const int64_t start = begin + kChunk * (order == Order::kBackward ? chunks - 1 - i : i);
      body(start, std::min(kChunk, end - start));
    }
  }

  // What a segment adds to a head's state goes to the state at its end.
  void add_segment(const Sequence& sequence, int64_t head, int64_t segment, Scratch& scratch) {
    const int64_t end = to(sequence, head, segment);
    T* added = state(end);
    std::fill_n(added, state_size, T{0});
    T decay = 1;
    for_chunks(sequence, segment, [&](int64_t start, int64_t count) {
      const ChunkRows<T> rows = load({sequence, head, start, count}, scratch);
      add(rows, scratch, added);
      decay *= scratch.weights.total;
    });
    decays[static_cast<size_t>(end)] = decay;
  }

  // The states at boundaries from what the segments add.
  void join_segments(const Sequence& sequence, int64_t head) {
    for (int64_t i = 0; i < sequence.segments(); ++i) {
      const int64_t segment = order == Order::kBackward ? sequence.segments() - 1 - i : i;
      const int64_t end = to(sequence, head, segment);
      const int64_t before =
          order == Order::kWhole ? sequences.boundary(sequence, head, segment) : from(sequence, head, segment);
      join(state(before), decays[static_cast<size_t>(end)], state(end), state(end));
    }
  }

  // A chunk of one head: out to `tile`, and its part of the state to `added`.
  void walk_chunk(const Chunk& chunk, T decay, bool keeps, T* added, Scratch& scratch, T* tile, int64_t pitch) {
    const Sequence& sequence = chunk.sequence;
    const int64_t heads = sequences.heads, token = sequence.start + chunk.start;
    ChunkRows<T> rows;
    if (order == Order::kWhole) {
      rows = {chunk.count, depth, padded_width, nullptr, 0, nullptr, nullptr, 0};
    } else {
      rows = load(chunk, scratch);
    }
    const Tile<T> x_tile =
        load_rows(x.row(sequence.batch, chunk.head, heads, token), chunk.count, depth, scratch.x.data());
    rows.x = x_tile.values;
    rows.x_pitch = x_tile.pitch;
    const T* before = state(from(sequence, chunk.head, chunk.start / kSegment));
    if (order != Order::kWhole) {
      make_scores(rows, order, scratch.weights, scratch.scores.data());
      join(before, decay, added, scratch.state.data());
      before = scratch.state.data();
    }
    make_outputs(rows, order, scratch.weights, scratch.scores.data(), before, x_scale, tile, pitch);
    if (keeps) add(rows, scratch, added);
  }

  // Out of a segment, for the heads that share an x, and the states at its end where `joins`.
  void walk_segment(const Sequence& sequence, int64_t x_head, int64_t segment, bool joins, Scratch& scratch) {
    std::vector<T> decay(static_cast<size_t>(shared), T{1});
    std::fill_n(scratch.added.data(), shared * state_size, T{0});
    for_chunks(sequence, segment, [&](int64_t start, int64_t count) {
      const int64_t token = sequence.start + start;
      Stored* rows = out.row(sequence.batch, x_head, x.heads, token);
      for (int64_t j = 0; j < shared; ++j) {
        const int64_t head = x_head * shared + j;
        T *tile = scratch.out.data(), *added = scratch.added.data() + j * state_size;
        int64_t pitch = padded_width;
        if constexpr (std::is_same_v<Stored, T>) {
          if (shared == 1 && count == kChunk && padded_width == width) tile = rows, pitch = width;
        }
        walk_chunk({sequence, head, start, count}, decay[static_cast<size_t>(j)], order != Order::kWhole, added,
                   scratch, tile, pitch);
        decay[static_cast<size_t>(j)] *= scratch.weights.total;
        if (dot_with.data) {
          const int64_t heads = sequences.heads;
          dot_rows(tile, pitch, dot_with.row(sequence.batch, head, heads, token), count, width,
                   dots + (sequence.batch * heads + head) * x.length + token);
        }
        if (shared > 1) {
          T* sum = scratch.sum.data();
          for (int64_t i = 0; i < count * padded_width; ++i) sum[i] = (j ? sum[i] : T{0}) + tile[i];
          if (j + 1 == shared) store_rows(sum, padded_width, count, width, rows);
        } else if (static_cast<void*>(tile) != static_cast<void*>(rows)) {
          store_rows(tile, pitch, count, width, rows);
        }
      }
    });
    for (int64_t j = 0; joins && j < shared; ++j) {
      const int64_t head = x_head * shared + j, end = to(sequence, head, segment);
      join(state(from(sequence, head, segment)), decay[static_cast<size_t>(j)], scratch.added.data() + j * state_size,
           state(end));
    }
  }

  struct Unit {
    int64_t sequence, head, segment;
  };

  std::vector<Unit> units(int64_t heads, bool by_segment) const {
    std::vector<Unit> all;
    for (int64_t s = 0; s < sequences.count(); ++s)
      for (int64_t head = 0; head < heads; ++head)
        for (int64_t segment = 0; segment < (by_segment ? sequences[s].segments() : 1); ++segment)
          all.push_back({s, head, segment});
    return all;
  }

  template <class Body>
  void parallel(const std::vector<Unit>& units, Body body) {
    int64_t tokens = 0;
    for (const Sequence& sequence : sequences.all) tokens += sequence.length * sequences.heads;
    const int64_t count = static_cast<int64_t>(units.size());
    core::parallel_range(count, tokens * (depth + width) / std::max<int64_t>(count, 1),
                         [&](int64_t begin, int64_t end) {
                           Scratch scratch(*this);
                           for (int64_t i = begin; i < end; ++i) {
                             const Unit& unit = units[static_cast<size_t>(i)];
                             body(sequences[unit.sequence], unit.head, unit.segment, scratch);
                           }
                         });
  }

  // Whether as many sequences and heads as there are keep the threads busy.
  bool walks_whole_sequences() const {
    if (order == Order::kWhole) return false;
    const int64_t threads = core::thread_count(), count = sequences.count() * x.heads;
    int64_t longest = 0, tokens = 0;
    for (const Sequence& sequence : sequences.all) {
      longest = std::max(longest, sequence.length);
      tokens += sequence.length;
    }
    const bool alike = longest * sequences.count() == tokens;
    return longest <= kSegment || (alike && (count % threads == 0 || count >= 4 * threads));
  }

  // The states at the first boundaries must have been set.
  void run() {
    if (walks_whole_sequences()) {
      return parallel(units(x.heads, false), [&](const Sequence& s, int64_t x_head, int64_t, Scratch& scratch) {
        const int64_t segments = s.segments();
        for (int64_t i = 0; i < segments; ++i)
          walk_segment(s, x_head, order == Order::kBackward ? segments - 1 - i : i, true, scratch);
      });
    }
    parallel(units(sequences.heads, true), [&](const Sequence& s, int64_t head, int64_t segment, Scratch& scratch) {
      add_segment(s, head, segment, scratch);
    });
    parallel(units(sequences.heads, false),
             [&](const Sequence& s, int64_t head, int64_t, Scratch&) { join_segments(s, head); });
    parallel(units(x.heads, true), [&](const Sequence& s, int64_t x_head, int64_t segment, Scratch& scratch) {
      walk_segment(s, x_head, segment, false, scratch);
    });
  }
};

}  // namespace fastsciml::attention
