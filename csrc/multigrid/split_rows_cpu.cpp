// Rows in halves (level.h) from rows in the order of k: out = scale * rows, as float32.
//   rows [nx, ny, nz] -> out [nx, ny, 2 half];   moves 8 (float32) or 12 (float64) bytes per cell

#include <torch/csrc/stable/ops.h>

#include "core/parallel.h"
#include "multigrid/operators.h"
#include "multigrid/split_row.h"
#include "multigrid/split_rows.h"

namespace fastsciml::multigrid {
namespace {

template <class T>
void split(const Tensor& rows, double scale, Tensor& out) {
  const int64_t n = rows.size(2), half = half_of(n);
  const T* from = core::data<T>(rows);
  float* to = core::mutable_data<float>(out);
  core::parallel_range(rows.size(0) * rows.size(1), n, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      split_row(to + row * 2 * half, from + row * n, static_cast<T>(scale), n, half);
    }
  });
}

}  // namespace

void split_rows_into(Tensor rows, double scale, Tensor out) {
  check_split_rows(rows, out);
  if (rows.scalar_type() == core::ScalarType::Double)
    split<double>(rows, scale, out);
  else
    split<float>(rows, scale, out);
}

}  // namespace fastsciml::multigrid
