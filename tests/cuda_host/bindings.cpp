// fastsciml_cuda_host: the CUDA kernels of csrc, run by the host runtime on NumPy arrays. Arrays are taken as they are,
// never converted, so that a kernel sees the very memory the test guards.

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <optional>
#include <vector>

#include "cuda_host/rules.h"
#include "poisson/apply.cuh"

namespace py = pybind11;

namespace fastsciml {
namespace {

template <class T>
using Array = py::array_t<T, py::array::c_style>;

template <class T>
void poisson_apply(const Array<T>& u, const Array<T>& couplings, const std::array<int64_t, 3>& periodic,
                   const std::optional<Array<uint8_t>>& faces, const std::vector<Array<T>>& coefficient,
                   const std::optional<Array<T>>& alpha, Array<T>& out) {
  std::array<const T*, 3> face{};
  for (size_t axis = 0; axis < coefficient.size(); ++axis) face[axis] = coefficient[axis].data();
  const auto grid = poisson::make_grid(u.shape(1), u.shape(2), u.shape(3), couplings.data(), periodic.data(),
                                       faces ? faces->data() : nullptr, coefficient.empty() ? nullptr : face.data(),
                                       alpha ? alpha->data() : nullptr, alpha && alpha->size() > 1);
  poisson::launch_apply(grid, u.data(), out.mutable_data(), u.size(), {});
}

template <class T>
void bind_poisson_apply(py::module_& module) {
  module.def("poisson_apply", &poisson_apply<T>, py::arg("u").noconvert(), py::arg("couplings").noconvert(),
             py::arg("periodic"), py::arg("faces").noconvert(), py::arg("coefficient").noconvert(),
             py::arg("alpha").noconvert(), py::arg("out").noconvert());
}

// The runtime's own test kernel: every thread writes its number at that place, with no look at where out ends.
__global__ void number_threads_kernel(int64_t* out) {
  const int64_t block = (int64_t{blockIdx.z} * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  const int64_t thread = (int64_t{threadIdx.z} * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  const int64_t number = block * blockDim.x * blockDim.y * blockDim.z + thread;
  out[number] = number;
}

void number_threads(Array<int64_t>& out, const std::array<unsigned, 3>& blocks,
                    const std::array<unsigned, 3>& threads) {
  core::launch("number_threads", number_threads_kernel, {blocks[0], blocks[1], blocks[2]},
               {threads[0], threads[1], threads[2]}, {}, out.mutable_data());
}

}  // namespace
}  // namespace fastsciml

PYBIND11_MODULE(fastsciml_cuda_host, module) {
  fastsciml::bind_poisson_apply<float>(module);
  fastsciml::bind_poisson_apply<double>(module);
  module.def("number_threads", &fastsciml::number_threads, py::arg("out").noconvert(), py::arg("blocks"),
             py::arg("threads"));
  py::module_ rules = module.def_submodule("rules");
  fastsciml::bind_rules(rules);
}
