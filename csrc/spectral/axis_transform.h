// The transform that diagonalises the second difference of one axis, and its inverse: which kind of transform goes with
// which ends.   Called by fast_poisson_cpu.cpp.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <variant>

#include "spectral/first_kind.h"
#include "spectral/real_transforms.h"

namespace fastsciml::spectral {

// The codes of fast_poisson's argument `transforms`, in the order of ops/fast_poisson.py.
enum class Basis : int64_t {
  kPeriodic,
  kDirichlet,
  kNeumann,
  kDirichletNeumann,
  kNeumannDirichlet,
  kVertexDirichlet,
  kVertexNeumann,
  kVertexDirichletNeumann,
  kVertexNeumannDirichlet,
  kCount
};

template <class T>
class AxisTransform {
 public:
  AxisTransform(int64_t n, Basis basis)
      : extent_(n),
        // A mixed vertex axis sums over its basis of type II to synthesise, and so analyses by type III.
        swapped_(basis == Basis::kVertexDirichletNeumann || basis == Basis::kVertexNeumannDirichlet),
        transform_(make(n, basis)) {}

  int64_t extent() const { return extent_; }
  bool identity() const { return extent_ == 1; }
  int64_t buffer_size() const {
    return std::visit([](const auto& transform) { return transform.buffer_size(); }, transform_);
  }
  int64_t work_size() const {
    const auto* first = std::get_if<FirstKind<T>>(&transform_);
    return first ? first->work_size() : 0;
  }
  // inverse(forward(x)) = scale() x
  double scale() const {
    return identity() ? 1 : std::visit([](const auto& transform) { return transform.scale(); }, transform_);
  }

  // In place, `rows` of extent(). work [work_size()].
  void forward(Rows<const T> from, Rows<T> to, Buffers<T> buffers, Lanes<T>* work) const {
    run(!swapped_, from, to, buffers, work);
  }
  void inverse(Rows<const T> from, Rows<T> to, Buffers<T> buffers, Lanes<T>* work) const {
    run(swapped_, from, to, buffers, work);
  }

 private:
  using Transform = std::variant<FirstKind<T>, SecondKind<T>, FourthKind<T>>;

  static Transform make(int64_t n, Basis basis) {
    if (n == 1) return SecondKind<T>(1, Family::kFourier);
    switch (basis) {
      case Basis::kPeriodic:
        return SecondKind<T>(n, Family::kFourier);
      case Basis::kDirichlet:
      case Basis::kVertexDirichletNeumann:
        return SecondKind<T>(n, Family::kSine);
      case Basis::kNeumann:
      case Basis::kVertexNeumannDirichlet:
        return SecondKind<T>(n, Family::kCosine);
      case Basis::kDirichletNeumann:
        return FourthKind<T>(n, Family::kSine);
      case Basis::kNeumannDirichlet:
        return FourthKind<T>(n, Family::kCosine);
      case Basis::kVertexDirichlet:
        return FirstKind<T>(n + 1, Family::kSine);
      default:
        return FirstKind<T>(n - 1, Family::kCosine);
    }
  }

  void run(bool forward, Rows<const T> from, Rows<T> to, Buffers<T> buffers, Lanes<T>* work) const {
    if (const auto* second = std::get_if<SecondKind<T>>(&transform_)) {
      forward ? second->forward(from, to, buffers) : second->inverse(from, to, buffers);
    } else if (const auto* fourth = std::get_if<FourthKind<T>>(&transform_)) {
      (*fourth)(from, to, buffers);
    } else {
      std::get<FirstKind<T>>(transform_)(from, to, buffers, work);
    }
  }

  int64_t extent_;
  bool swapped_;
  Transform transform_;
};

// The transform with its tables, which the next solves of the same box find made.
template <class T>
std::shared_ptr<const AxisTransform<T>> axis_transform(int64_t n, Basis basis) {
  constexpr size_t kMostKept = 32;
  static std::mutex mutex;
  static std::map<std::pair<int64_t, Basis>, std::shared_ptr<const AxisTransform<T>>> made;
  const std::lock_guard lock(mutex);
  if (made.size() >= kMostKept && !made.contains({n, basis})) made.clear();
  auto& transform = made[{n, basis}];
  if (!transform) transform = std::make_shared<const AxisTransform<T>>(n, basis);
  return transform;
}

}  // namespace fastsciml::spectral
