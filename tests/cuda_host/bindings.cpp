// fastsciml_cuda_host: in which order the host runtime runs kernels, what it has counted, and its own test kernels, on
// NumPy arrays. Arrays are taken as they are, never converted, so that a kernel sees the very memory the test guards.

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <vector>

#include "core/launch.h"
#include "cuda_host/rules.h"

namespace py = pybind11;

namespace fastsciml {
namespace {

template <class T>
using Array = py::array_t<T, py::array::c_style>;

// The runtime's own test kernel: every thread writes its number at that place, with no look at where out ends.
__global__ void number_threads_kernel(int64_t* out) {
  const int64_t block = (int64_t{blockIdx.z} * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  const int64_t thread = (int64_t{threadIdx.z} * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  const int64_t number = block * blockDim.x * blockDim.y * blockDim.z + thread;
  out[number] = number;
}

void number_threads(Array<int64_t>& out, const std::array<unsigned, 3>& blocks,
                    const std::array<unsigned, 3>& threads) {
  const core::Shape shape{{blocks[0], blocks[1], blocks[2]}, {threads[0], threads[1], threads[2]}};
  core::launch("number_threads", number_threads_kernel, shape, {}, out.mutable_data());
}

// From here on, or no more.
void count(bool on) {
  core::host::counting = on;
  if (on) core::host::counted.clear();
}

py::dict as_dict(const core::host::Traffic& launch) {
  py::dict d;
  d["kernel"] = launch.kernel;
  d["blocks"] = launch.blocks;
  d["threads"] = launch.threads;
  d["read_bytes"] = launch.read.bytes;
  d["written_bytes"] = launch.written.bytes;
  d["read_sectors_bytes"] = launch.read.sector_bytes;
  d["written_sectors_bytes"] = launch.written.sector_bytes;
  d["read_lines_bytes"] = launch.read.line_bytes;
  d["written_lines_bytes"] = launch.written.line_bytes;
  d["shared_accesses"] = launch.shared_accesses;
  d["barriers"] = launch.barriers;
#ifdef FASTSCIML_COUNT_FLOPS
  d["flops"] = launch.flops;
#endif
  return d;
}

std::vector<py::dict> traffic() {
  std::vector<py::dict> launches;
  for (const auto& launch : core::host::counted) launches.push_back(as_dict(launch));
  return launches;
}

}  // namespace
}  // namespace fastsciml

PYBIND11_MODULE(fastsciml_cuda_host, module) {
  module.def("number_threads", &fastsciml::number_threads, py::arg("out").noconvert(), py::arg("blocks"),
             py::arg("threads"));
  module.def("set_order", [](uint64_t seed) { fastsciml::core::host::order = seed; }, py::arg("seed"));
  module.def("count", &fastsciml::count, py::arg("on"));
  module.def("traffic", &fastsciml::traffic);
  py::module_ rules = module.def_submodule("rules");
  fastsciml::bind_rules(rules);
  fastsciml::bind_arrays(rules);
}
