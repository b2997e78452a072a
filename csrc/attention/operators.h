// Linear attention as torch calls it; schema in csrc/operators.cpp. For every batch and head
//
//   S_t = a_t S_{t-1} + k_t^T v_t,   o_t = scale q_t S_t,   a_t = exp(log_decay_t)          (causal)
//   S = S_0 + sum_t k_t^T v_t,       o_t = scale q_t S                                      (not causal, no decay)
//
// q [B, H, N, D], k [B, G, N, D], v [B, G, N, E], float32, float64, float16 or bfloat16, contiguous; G divides H, and
// H / G neighbouring heads of q share one of k and v. log_decay [B, H, N] and the states [sequences, H, D, E] are
// float32 (float64 for float64 q), here called `real`. Sequences are the batch's elements, or with cu_seqlens, int64
// [sequences + 1] on the CPU, the pieces cu_seqlens[i] .. cu_seqlens[i + 1] of the one element's tokens.
//
// The gradients are linear attention once more. With R the state that runs backward in time,
// R_t = a_{t+1} R_{t+1} + scale q_t^T do_t, from R_N + ..., the last state's gradient:
//
//   dq_t = scale do_t S_t^T                 forward:  queries do, keys v, values k, state S^T
//   dk_t = v_t R_t^T                        backward: queries v, keys do, values q, state R^T
//   dv_t = k_t R_t                          backward: queries k, keys q, values do, state R
//   dS_0 = a_1 R_1
//   dlog_decay_t = sum over s >= t of q_s dq_s - k_s dk_s, plus <R, S> after the last s
//
// so one loop, attention/scan.h, makes all of them. It recomputes states and keeps one per segment of 1,024 tokens.
//
// Attention by the Gram matrix, for many short sequences of tokens e_j that all see the first `context` ones:
//
//   G = sum_{i < context} e_i e_i^T,   M = sum_h A_h G B_h,   o_j = M e_j
//
// tokens e [B, N, T], left A and right B [H, T, T], float32, float64, float16 or bfloat16, contiguous. In the gradients
// G and M are made anew, so that nothing but the inputs is kept; with dM = sum_j do_j e_j^T
//
//   dA_h = sum_b dM (G B_h)^T,   dB_h = sum_b G A_h^T dM,   dG = sum_h A_h^T dM B_h^T
//   de_j = M^T do_j, and for j < context also (dG + dG^T) e_j
#pragma once

#include <cstdint>
#include <optional>
#include <tuple>

#include "core/tensor.h"

namespace fastsciml::attention {

using core::Tensor;

// -> o [B, H, N, E] of q's dtype, and the last state [sequences, H, D, E] real.
std::tuple<Tensor, Tensor> linear_attention(Tensor q, Tensor k, Tensor v, std::optional<Tensor> log_decay,
                                            std::optional<Tensor> state, std::optional<Tensor> cu_seqlens, bool causal,
                                            double scale);

// dlast: gradient of the last state, None for 0. -> dq, dk, dv, dlog_decay (no elements without log_decay), dstate.
std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor> linear_attention_backward(
    Tensor dout, std::optional<Tensor> dlast, Tensor q, Tensor k, Tensor v, std::optional<Tensor> log_decay,
    std::optional<Tensor> state, std::optional<Tensor> cu_seqlens, bool causal, double scale);

// -> o [B, N, T]
Tensor gram_attention(Tensor tokens, Tensor left, Tensor right, int64_t context);

// -> de (no elements unless of_tokens: a first layer's tokens are data), dA, dB
std::tuple<Tensor, Tensor, Tensor> gram_attention_backward(Tensor dout, Tensor tokens, Tensor left, Tensor right,
                                                           int64_t context, bool of_tokens);

}  // namespace fastsciml::attention
