// Stands in for libtorch_cuda.so, which a CPU build of torch lacks, where the CUDA library is linked: the one function
// we take from it. It is not shipped; at load its name finds torch's own library, already in the process.

#include <torch/csrc/inductor/aoti_torch/c/shim.h>

AOTITorchError aoti_torch_get_current_cuda_stream(int32_t, void**) { return AOTI_TORCH_FAILURE; }
