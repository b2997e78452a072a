// A conjugate-direction step for any operator A, whose images the caller keeps, on the CPU:
//   direction_products   <q, A q>, <r, q>, all <q, A p_i>, all <r, p_i>
//   direction_update     q += sum beta_i p_i,  A q += sum beta_i A p_i,  x += length q,  r -= length A q;  |r|^2
// Vectors are contiguous, float32 or float64, [n]. Products are summed in double.
//
// Work goes by blocks that stay in the L1 cache, so that every vector comes from memory once. Per unknown the products
// move 3 + 2 m numbers, the update 8 + 2 m. A segment of blocks has one sum, and segments are added in order: the
// result does not depend on the number of threads. Called by ops/direction_vectors.py for
// solvers/conjugate_directions.py.

#include <torch/csrc/stable/ops.h>

#include <algorithm>
#include <array>
#include <vector>

#include "core/parallel.h"
#include "directions/tensors.h"

namespace fastsciml::directions {
namespace {

// Entries of a block, and of a segment: a whole number of blocks, and worth a thread.
constexpr int64_t kBlock = 1024, kSegment = 16 * kBlock;

template <class T>
using Pointers = std::array<T*, kMostDirections>;

template <class T>
Pointers<const T> pointers_to(const std::vector<Tensor>& vectors) {
  Pointers<const T> pointers{};
  std::transform(vectors.begin(), vectors.end(), pointers.begin(), core::data<T>);
  return pointers;
}

void check_vector(const char* op, const char* name, const Tensor& vector, const Tensor& like) {
  core::check_same_device(vector, like, op, name);
  core::check_contiguous(vector, like.scalar_type(), op, name);
  core::check_same_shape(like, vector, op, name);
}

void check_vectors(const char* op, const Tensor& q, const std::vector<Tensor>& directions,
                   const std::vector<Tensor>& images) {
  const auto type = q.scalar_type();
  core::check(type == core::ScalarType::Float || type == core::ScalarType::Double, op, "q", "be float32 or float64");
  core::check_contiguous(q, type, op, "q");
  core::check(directions.size() <= kMostDirections, op, "directions", "be at most 8");
  core::check(directions.size() == images.size(), op, "images", "be as many as directions");
  for (const Tensor& direction : directions) check_vector(op, "every direction", direction, q);
  for (const Tensor& image : images) check_vector(op, "every image", image, q);
}

// body(segment, begin, end) for blocks begin to end, those of a segment in order.
template <class Body>
void each_block(int64_t n, Body body) {
  const int64_t segments = (n + kSegment - 1) / kSegment;
  core::parallel_range(segments, kSegment, [&](int64_t first, int64_t last) {
    for (int64_t segment = first; segment < last; ++segment) {
      const int64_t stop = std::min(n, (segment + 1) * kSegment);
      for (int64_t begin = segment * kSegment; begin < stop; begin += kBlock) {
        body(static_cast<size_t>(segment), begin, std::min(stop, begin + kBlock));
      }
    }
  });
}

size_t segments_of(int64_t n) { return static_cast<size_t>((n + kSegment - 1) / kSegment); }

// sums[0] += <a, b>, sums[1] += <c, d>.
template <class T>
void add_products(double* first, const T* a, const T* b, double* second, const T* c, const T* d, int64_t n) {
  double ab = 0, cd = 0;
#pragma omp simd reduction(+ : ab, cd)
  for (int64_t m = 0; m < n; ++m) {
    ab += static_cast<double>(a[m]) * static_cast<double>(b[m]);
    cd += static_cast<double>(c[m]) * static_cast<double>(d[m]);
  }
  *first += ab;
  *second += cd;
}

template <class T>
void products_of(double* out, const Tensor& q, const Tensor& aq, const Tensor& r, const std::vector<Tensor>& directions,
                 const std::vector<Tensor>& images) {
  const size_t count = directions.size(), size = 2 + 2 * count;
  const T* qs = core::data<T>(q);
  const T* aqs = core::data<T>(aq);
  const T* rs = core::data<T>(r);
  const Pointers<const T> p = pointers_to<T>(directions), ap = pointers_to<T>(images);
  std::vector<double> segments(segments_of(q.numel()) * size);
  each_block(q.numel(), [&](size_t segment, int64_t at, int64_t end) {
    double* sums = segments.data() + segment * size;
    add_products(sums, qs + at, aqs + at, sums + 1, rs + at, qs + at, end - at);
    for (size_t d = 0; d < count; ++d) {
      add_products(sums + 2 + d, qs + at, ap[d] + at, sums + 2 + count + d, rs + at, p[d] + at, end - at);
    }
  });
  std::fill_n(out, size, 0.0);
  for (size_t s = 0; s < segments.size(); ++s) out[s % size] += segments[s];
}

// y += beta x
template <class T>
void add_multiple(T* __restrict y, T beta, const T* __restrict x, int64_t n) {
#pragma omp simd
  for (int64_t m = 0; m < n; ++m) y[m] += beta * x[m];
}

template <class T>
double step_along(T* __restrict x, T* __restrict r, const T* __restrict q, const T* __restrict aq, T length,
                  int64_t n) {
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t m = 0; m < n; ++m) {
    x[m] += length * q[m];
    const T left = r[m] - length * aq[m];
    r[m] = left;
    sum += static_cast<double>(left) * static_cast<double>(left);
  }
  return sum;
}

template <class T>
double update_of(const Tensor& x, const Tensor& r, const Tensor& q, const Tensor& aq,
                 const std::vector<Tensor>& directions, const std::vector<Tensor>& images, const double* lengths) {
  T* xs = core::mutable_data<T>(x);
  T* rs = core::mutable_data<T>(r);
  T* qs = core::mutable_data<T>(q);
  T* aqs = core::mutable_data<T>(aq);
  const Pointers<const T> p = pointers_to<T>(directions), ap = pointers_to<T>(images);
  std::vector<double> segments(segments_of(q.numel()));
  each_block(q.numel(), [&](size_t segment, int64_t at, int64_t end) {
    for (size_t d = 0; d < directions.size(); ++d) {
      const T beta = static_cast<T>(lengths[1 + d]);
      if (beta == T{0}) continue;
      add_multiple(qs + at, beta, p[d] + at, end - at);
      add_multiple(aqs + at, beta, ap[d] + at, end - at);
    }
    segments[segment] += step_along(xs + at, rs + at, qs + at, aqs + at, static_cast<T>(lengths[0]), end - at);
  });
  double sum = 0;
  for (const double segment : segments) sum += segment;
  return sum;
}

}  // namespace

Tensor direction_products(Tensor q, Tensor aq, Tensor r, std::vector<Tensor> directions, std::vector<Tensor> images) {
  constexpr const char* op = "direction_products";
  check_vectors(op, q, directions, images);
  check_vector(op, "aq", aq, q);
  check_vector(op, "r", r, q);
  const auto size = static_cast<int64_t>(2 + 2 * directions.size());
  Tensor products = torch::stable::new_empty(q, {size}, core::ScalarType::Double);
  auto* out = core::mutable_data<double>(products);
  q.scalar_type() == core::ScalarType::Double ? products_of<double>(out, q, aq, r, directions, images)
                                              : products_of<float>(out, q, aq, r, directions, images);
  return products;
}

Tensor direction_update(Tensor x, Tensor r, Tensor q, Tensor aq, std::vector<Tensor> directions,
                        std::vector<Tensor> images, Tensor lengths) {
  constexpr const char* op = "direction_update";
  check_vectors(op, q, directions, images);
  check_vector(op, "x", x, q);
  check_vector(op, "r", r, q);
  check_vector(op, "aq", aq, q);
  check_lengths(op, lengths, q, directions);
  const auto* steps = core::data<double>(lengths);
  Tensor squared = torch::stable::new_empty(q, {1}, core::ScalarType::Double);
  *core::mutable_data<double>(squared) = q.scalar_type() == core::ScalarType::Double
                                             ? update_of<double>(x, r, q, aq, directions, images, steps)
                                             : update_of<float>(x, r, q, aq, directions, images, steps);
  return squared;
}

}  // namespace fastsciml::directions
