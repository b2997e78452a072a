// Which tokens belong together, and how a sequence is cut: into segments of kSegment tokens, whose states at both ends
// are kept, and these into chunks, whose states are not. The cuts depend on the lengths alone.
#pragma once

#include <cstdint>
#include <vector>

#include "attention/chunk.h"

namespace fastsciml::attention {

// At a width of 64 the states kept take a sixteenth of k's memory.
inline constexpr int64_t kSegment = 16 * kChunk;

struct Sequence {
  int64_t batch, start, length;
  int64_t first_boundary;  // of the sequence's first head; every head has segments() + 1

  int64_t segments() const { return (length + kSegment - 1) / kSegment; }
};

struct Sequences {
  std::vector<Sequence> all;
  int64_t heads;
  int64_t boundaries = 0;  // in all

  explicit Sequences(int64_t heads_of_each) : heads(heads_of_each) {}

  void add(int64_t batch, int64_t start, int64_t length) {
    all.push_back({batch, start, length, boundaries});
    boundaries += heads * (all.back().segments() + 1);
  }
  int64_t count() const { return static_cast<int64_t>(all.size()); }
  const Sequence& operator[](int64_t i) const { return all[static_cast<size_t>(i)]; }

  int64_t boundary(const Sequence& sequence, int64_t head, int64_t segment) const {
    return sequence.first_boundary + head * (sequence.segments() + 1) + segment;
  }
};

}  // namespace fastsciml::attention
