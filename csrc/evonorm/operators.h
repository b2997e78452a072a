// The EvoNorm kernels as torch calls them; schema in csrc/operators.cpp. Formulae: Liu, Brock, Simonyan, Le, "Evolving
// Normalization-Activation Layers", NeurIPS 2020, table 2.
//
// x is [N, C, space...], plain or channels_last, float32, float64, float16 or bfloat16; parameters and statistics are
// float32 (float64 for float64 x), here called `real`. g = dy weight; sums run over what the statistic runs over.
//
//   S0, S1, S2   y = weight u r + bias,   u = x sigmoid(v x),   r = (variance + eps)^-1/2   of a group of M elements
//                (S1, S2: v = 1; S2: mean of squares, whose mean below is 0)
//     du/dx = sigmoid(v x) (1 + v x (1 - sigmoid(v x)))
//     dr/dx = -r^3 (x - mean) / M
//     dx = g r du/dx - r^3 (x - mean) / M sum(g u)
//     dbias = sum(dy),  dweight = sum(dy u r),  dv = weight sum(dy r u x (1 - sigmoid(v x)))
//
//   B0, B1, B2   y = weight x / d + bias,   d = max(batch, right),   batch = sqrt(batch variance + eps)
//                right = v x + own, (x + 1) own, own - x,   own = sqrt(variance or mean of squares of the plane + eps)
//     where batch >= right:  dx = g / batch,      dbatch = -sum(g x / batch^2)
//     elsewhere:             dx = g own / right^2, down = -sum(g x (1, x + 1, 1) / right^2), dv = -sum(g x^2 / right^2)
//     dbatch/dx = (x - batch mean) / (batch M_batch),  down/dx = (x - mean) / (own M);  the mean of B1, B2 counts as 0
//
// In both families dx = (an element's function) + a x + b, with a and b of the channel and sample. S is one call per
// direction. B, too, on the CPU, and in stages where a batch's statistics have to travel between processes: the
// statistics, the element's function, and for the gradient the sums and again the element's function.
#pragma once

#include <cstdint>
#include <optional>
#include <tuple>

#include "core/tensor.h"

namespace fastsciml::evonorm {

using core::Tensor;

// -> y, and statistics [N, groups, 2] real: mean (0 if not centred) and r. Moves 2 tensors where a group fits the
// cache.
std::tuple<Tensor, Tensor> evonorm_s(Tensor x, std::optional<Tensor> v, std::optional<Tensor> weight,
                                     std::optional<Tensor> bias, int64_t groups, bool centred, double eps);

// -> dx, and the gradients of bias, weight and v as rows of [3, C] real. Moves 3 tensors. centred
// and eps are for who differentiates once more.
std::tuple<Tensor, Tensor> evonorm_s_backward(Tensor dy, Tensor x, std::optional<Tensor> v,
                                              std::optional<Tensor> weight, Tensor statistics, int64_t groups,
                                              bool centred, double eps);

// variant: 0, 1, 2 for B0, B1, B2. -> y; planes as of evonorm_moments; batch [3, C] real: mean, variance and count, or
// 0, the given variance and 1. Moves 3 tensors.
std::tuple<Tensor, Tensor, Tensor> evonorm_b_local(Tensor x, std::optional<Tensor> v, std::optional<Tensor> weight,
                                                   std::optional<Tensor> bias, std::optional<Tensor> variance,
                                                   int64_t variant, double eps);

// -> dx, and the gradients of bias, weight and v as rows of [3, C] real. `training`: the variance was not given. Moves
// 5 tensors.
std::tuple<Tensor, Tensor> evonorm_b_local_backward(Tensor dy, Tensor x, std::optional<Tensor> v,
                                                    std::optional<Tensor> weight, Tensor planes, Tensor batch,
                                                    bool training, int64_t variant, double eps);

// -> [N, 2, C] real: mean and variance of each channel of each sample; 0 and the mean of squares if not centred.
Tensor evonorm_moments(Tensor x, bool centred);

// parameters [N, P, C] real: weight, bias, batch, own, v, and for the slope a and b.
// -> y. Moves 2 tensors.
Tensor evonorm_b_map(Tensor x, Tensor parameters, int64_t variant);

// -> [N, 5, C] real: the sums of dy, dy x / d, of dbatch, down and dv without their factors -weight. Moves 2 tensors.
Tensor evonorm_b_sums(Tensor dy, Tensor x, Tensor parameters, int64_t variant);

// -> dx. Moves 3 tensors.
Tensor evonorm_b_slope(Tensor dy, Tensor x, Tensor parameters, int64_t variant);

}  // namespace fastsciml::evonorm
