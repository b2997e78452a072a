// Loops over torch's own threads; torch.set_num_threads is obeyed.
#pragma once

#include <torch/csrc/stable/ops.h>

#include <algorithm>
#include <cstdint>
#ifdef __SANITIZE_THREAD__
#include <thread>
#include <vector>
#endif

namespace fastsciml::core {

// Below this many cells another thread brings less than waiting for it costs, which on a busy machine is a time slice.
#ifdef __SANITIZE_THREAD__
inline constexpr int64_t kCellsPerThread = 1;
#else
inline constexpr int64_t kCellsPerThread = 1 << 15;
#endif

inline int64_t thread_count() { return torch::stable::get_num_threads(); }

// body(chunk) for chunk = 0 .. chunks - 1, each once. A chunk may own scratch memory by its number.
template <class Body>
void parallel_for(int64_t chunks, Body body) {
  if (chunks == 1) return body(int64_t{0});
#ifdef __SANITIZE_THREAD__
  // ThreadSanitizer knows these threads' joins, but not how torch's threads wait for each other.
  std::vector<std::jthread> threads;
  for (int64_t chunk = 0; chunk < chunks; ++chunk) threads.emplace_back([&body, chunk] { body(chunk); });
#else
  torch::stable::parallel_for(0, chunks, 1, [&body](int64_t begin, int64_t end) {
    for (int64_t chunk = begin; chunk < end; ++chunk) body(chunk);
  });
#endif
}

// Into how many chunks `count` pieces of so many cells each are worth cutting.
inline int64_t useful_chunks(int64_t count, int64_t cells_each) {
  const int64_t worth = std::min(thread_count(), count * cells_each / kCellsPerThread);
  return std::clamp<int64_t>(worth, 1, std::max<int64_t>(count, 1));
}

// body(begin, end) over contiguous parts of 0 .. count - 1.
template <class Body>
void parallel_range(int64_t count, int64_t cells_each, Body body) {
  const int64_t chunks = useful_chunks(count, cells_each);
  parallel_for(chunks, [&](int64_t chunk) { body(count * chunk / chunks, count * (chunk + 1) / chunks); });
}

}  // namespace fastsciml::core
