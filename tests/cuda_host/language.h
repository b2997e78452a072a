// CUDA's words for functions, its indices and its vector types, where a plain C++ compiler reads a kernel: the
// toolkit's own where its headers are found, else just what kernels here use.
#pragma once

#if __has_include(<vector_types.h>)
#include <vector_functions.h>
#include <vector_types.h>
// Without it a kernel that declares shared memory by itself, which no one could watch, does not compile.
#undef __shared__
#else

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __grid_constant__

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
struct uint3 {
  unsigned x, y, z;
};
struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(16) double2 {
  double x, y;
};
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline double2 make_double2(double x, double y) { return {x, y}; }

#endif

#define __launch_bounds__(...)
#define __noinline__
// Arrays are objects here, which the word may not stand beside.
#define __restrict__

inline uint3 threadIdx{}, blockIdx{};
inline dim3 blockDim{}, gridDim{};

inline constexpr int warpSize = 32;
