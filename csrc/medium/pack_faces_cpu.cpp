// One byte a cell: bits 0 to 5 its open lower and upper faces along x, y, z, bit 6 whether it holds an unknown.
//   bits = unknown * (64 | passable[i-1] | passable[i+1] << 1 | passable[j-1] << 2 | ...)
// and past a non-periodic end every cell is passable.
//   unknown, passable [nx, ny, nz] -> bits [nx, ny, nz];   moves 3 bytes per cell
// Caller: ops/pack_faces.py.

#include <torch/csrc/stable/ops.h>

#include "core/parallel.h"
#include "medium/packed.h"

namespace fastsciml::medium {
namespace {

struct Neighbours {
  const uint8_t *x_lower, *x_upper, *y_lower, *y_upper;  // [nz] rows of passable
};

void pack_row(uint8_t* __restrict out, const uint8_t* __restrict unknown, const uint8_t* __restrict passable,
              const Neighbours& near, int64_t n, bool periodic) {
  const uint8_t *xl = near.x_lower, *xu = near.x_upper, *yl = near.y_lower, *yu = near.y_upper;
#pragma omp simd
  for (int64_t k = 0; k < n; ++k) {
    const auto across = static_cast<uint8_t>(64 | xl[k] | xu[k] << 1 | yl[k] << 2 | yu[k] << 3);
    out[k] = unknown[k] ? across : uint8_t{0};
  }
#pragma omp simd
  for (int64_t k = 1; k < n; ++k) out[k] |= static_cast<uint8_t>((passable[k - 1] & unknown[k]) << 4);
#pragma omp simd
  for (int64_t k = 0; k < n - 1; ++k) out[k] |= static_cast<uint8_t>((passable[k + 1] & unknown[k]) << 5);
  const int before = periodic ? passable[n - 1] : 1, after = periodic ? passable[0] : 1;
  out[0] |= static_cast<uint8_t>((before & unknown[0]) << 4);
  out[n - 1] |= static_cast<uint8_t>((after & unknown[n - 1]) << 5);
}

}  // namespace

Tensor pack_faces(Tensor unknown, MaybeTensor passable, Flags periodic) {
  constexpr const char* op = "pack_faces";
  const Extents extents = extents_of(unknown, core::ScalarType::Bool, op, "unknown");
  core::check(periodic.size() == 3, op, "periodic", "have three entries");
  if (passable) {
    extents_of(*passable, core::ScalarType::Bool, op, "passable");
    core::check_same_shape(unknown, *passable, op, "passable");
  }
  const auto [nx, ny, nz] = extents;
  Tensor bits = torch::stable::new_empty(unknown, {nx, ny, nz}, core::ScalarType::Byte);
  const auto* cells = core::data<uint8_t>(unknown);
  const auto* open = passable ? core::data<uint8_t>(*passable) : cells;
  auto* out = core::mutable_data<uint8_t>(bits);
  const std::vector<uint8_t> beyond(static_cast<size_t>(nz), 1);

  core::parallel_range(nx, ny * nz, [&, nx = nx, ny = ny, nz = nz](int64_t begin, int64_t end) {
    const auto row = [&](int64_t i, int64_t j) {
      if ((i < 0 || i == nx) && !periodic[0]) return beyond.data();
      if ((j < 0 || j == ny) && !periodic[1]) return beyond.data();
      return open + ((i + nx) % nx * ny + (j + ny) % ny) * nz;
    };
    for (int64_t i = begin; i < end; ++i) {
      for (int64_t j = 0; j < ny; ++j) {
        const int64_t at = (i * ny + j) * nz;
        pack_row(out + at, cells + at, open + at, {row(i - 1, j), row(i + 1, j), row(i, j - 1), row(i, j + 1)}, nz,
                 periodic[2] != 0);
      }
    }
  });
  return bits;
}

}  // namespace fastsciml::medium
