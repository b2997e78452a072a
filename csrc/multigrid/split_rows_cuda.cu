// split_rows_into for CUDA tensors: checks, stream, launch. The kernel is in split_rows.cuh.

#include "core/stream.h"
#include "multigrid/split_rows.cuh"
#include "multigrid/split_rows.h"

namespace fastsciml::multigrid {
namespace {

template <class T>
void split(const core::Tensor& rows, double scale, const core::Tensor& out) {
  core::launch("split_rows", split_rows_kernel<T>,
               core::Shape{.blocks = core::blocks_for(out.numel(), kThreads), .threads = kThreads},
               core::current_stream(rows), core::memory<T>(rows), static_cast<T>(scale),
               core::mutable_memory<float>(out), rows.size(0) * rows.size(1), rows.size(2));
}

}  // namespace

void split_rows_into_cuda(core::Tensor rows, double scale, core::Tensor out) {
  const core::OnDeviceOf guard(rows);
  check_split_rows(rows, out);
  if (rows.scalar_type() == core::ScalarType::Double)
    split<double>(rows, scale, out);
  else
    split<float>(rows, scale, out);
}

}  // namespace fastsciml::multigrid
