// Scratch memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace fastsciml::core {

// Memory of whole cache lines, zeros at first.
template <class T>
class Lines {
 public:
  explicit Lines(int64_t n) : lines_(static_cast<size_t>((n * int64_t{sizeof(T)} + 63) / 64)) {}
  T* data() { return reinterpret_cast<T*>(lines_.data()); }

 private:
  struct alignas(64) Line {
    std::byte bytes[64];
  };
  std::vector<Line> lines_;
};

}  // namespace fastsciml::core
