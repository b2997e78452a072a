// Arrays as a kernel on the host runtime sees them: pointers that know where their array ends and who touches what. An
// access outside is a Fault that names the thread and the line. Those to global memory are counted (traffic.h), those
// to shared memory held against what other threads do (shared_array.h).
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <utility>

#include "cuda_host/block.h"
#include "cuda_host/language.h"
#include "cuda_host/traffic.h"

namespace fastsciml::core {

namespace host {

// An index and the line it stands on.
struct At {
  int64_t index;
  Where where;

  template <std::integral I>
  At(I i, const Where& line = Where::current()) : index(static_cast<int64_t>(i)), where(line) {}  // NOLINT
};

// What stands for an entry that may be written, within one expression: it reads when it is converted.
template <class Array>
class Entry {
 public:
  using Value = typename Array::Value;

  Entry(const Array& array, const At& at) : array_(array), at_(at) {}
  operator Value() const&& { return array_.read(at_); }  // NOLINT
#ifdef FASTSCIML_COUNT_FLOPS
  // Where a counted number would turn into one of another type, and, in `a ? b : c`, into the type of a plain one.
  template <std::floating_point T>
    requires(IsCounted<Value> && !std::same_as<Counted<T>, Value>)
  operator Counted<T>() const&& {  // NOLINT
    return array_.read(at_);
  }
  template <std::floating_point T>
    requires IsCounted<Value>
  operator T() const&& {  // NOLINT
    return static_cast<T>(array_.read(at_));
  }
#endif
  Value operator=(const Value& value) const&& {
    array_.write(at_, value);
    return value;
  }
  Value operator=(const Entry& other) const&& { return std::move(*this) = other.array_.read(other.at_); }
  Value operator+=(const Value& value) const&& { return std::move(*this) = array_.read(at_) + value; }
  Value operator-=(const Value& value) const&& { return std::move(*this) = array_.read(at_) - value; }
  Value operator*=(const Value& value) const&& { return std::move(*this) = array_.read(at_) * value; }
  Value operator/=(const Value& value) const&& { return std::move(*this) = array_.read(at_) / value; }

 private:
  const Array array_;
  At at_;
};

template <class Array>
auto entry_of(const Array& array, const At& at) {
  if constexpr (std::is_const_v<typename Array::Element>) {
    return array.read(at);
  } else {
    return Entry<Array>(array, at);
  }
}

[[noreturn, gnu::cold]] inline void throw_outside(const char* does, int64_t index, const char* array, int64_t count,
                                                  const Where& where) {
  throw Fault(name(Block::now().thread()) + " " + does + " entry " + std::to_string(index) + " of " + array + " of " +
              std::to_string(count) + ", at " + line_of(where));
}
inline void check_inside(const char* does, int64_t index, int64_t entries, const char* array, int64_t count,
                         const Where& where) {
  if (index < 0) throw_outside(does, index, array, count, where);
  if (index + entries > count) throw_outside(does, index + entries - 1, array, count, where);
}

}  // namespace host

template <class T>
class Memory {
 public:
  using Element = T;
  using Value = std::remove_const_t<T>;

  Memory() = default;
  Memory(std::nullptr_t) {}  // NOLINT
  Memory(T* first, int64_t count) : at_(first), first_(first), count_(count) {}
  operator Memory<const T>() const  // NOLINT
    requires(!std::is_const_v<T>)
  {
    Memory<const T> same(first_, count_);
    return same + (at_ - first_);
  }

  Memory operator+(int64_t n) const {
    Memory moved = *this;
    if (at_ != nullptr) moved.at_ += n;
    return moved;
  }
  bool operator==(std::nullptr_t) const { return first_ == nullptr; }
  explicit operator bool() const { return first_ != nullptr; }

  auto operator[](const host::At& at) const { return host::entry_of(*this, at); }

  Value read(const host::At& at) const {
    const T* entry = checked("reads", at, 1);
    if (host::Counter* counter = host::Counter::now()) counter->read(entry, sizeof(T));
    return *entry;
  }
  void write(const host::At& at, const Value& value) const {
    T* entry = checked("writes", at, 1);
    if (host::Counter* counter = host::Counter::now()) counter->write(entry, sizeof(T));
    *entry = value;
  }
  // Threads take turns, so that nothing comes between.
  template <class Change>
  Value update(const host::At& at, Change change) const {
    const Value before = read(at);
    write(at, change(before));
    return before;
  }

  // Several entries at once, as one access of their size.
  template <class Vector>
  Vector read_as(const host::At& at) const {
    const T* entries = aligned<Vector>("reads", at);
    if (host::Counter* counter = host::Counter::now()) counter->read(entries, sizeof(Vector));
    Vector vector;
    std::memcpy(&vector, entries, sizeof(Vector));
    return vector;
  }
  template <class Vector>
  void write_as(const host::At& at, const Vector& vector) const {
    T* entries = aligned<Vector>("writes", at);
    if (host::Counter* counter = host::Counter::now()) counter->write(entries, sizeof(Vector));
    std::memcpy(entries, &vector, sizeof(Vector));
  }

 private:
  T* checked(const char* does, const host::At& at, int64_t entries) const {
    host::check_inside(does, at_ - first_ + at.index, entries, "an array", count_, at.where);
    return at_ + at.index;
  }
  template <class Vector>
  T* aligned(const char* does, const host::At& at) const {
    T* entries = checked(does, at, sizeof(Vector) / sizeof(T));
    if (reinterpret_cast<uintptr_t>(entries) % sizeof(Vector) != 0) {
      throw host::Fault(host::name(host::Block::now().thread()) + " " + does + " " + std::to_string(sizeof(Vector)) +
                        " bytes at once at an address that is no multiple of them, at " + host::line_of(at.where));
    }
    return entries;
  }

  T* at_ = nullptr;
  T* first_ = nullptr;
  int64_t count_ = 0;
};

template <class T>
Memory<T> memory(T* first, int64_t count) {
  return {first, count};
}

inline float4 load4(const Memory<const float>& from, int64_t at, const host::Where& where = host::Where::current()) {
  return from.read_as<float4>({at, where});
}
inline void store4(const Memory<float>& to, int64_t at, const float4& values,
                   const host::Where& where = host::Where::current()) {
  to.write_as({at, where}, values);
}
inline float2 load2(const Memory<const float>& from, int64_t at, const host::Where& where = host::Where::current()) {
  return from.read_as<float2>({at, where});
}
inline void store2(const Memory<float>& to, int64_t at, const float2& values,
                   const host::Where& where = host::Where::current()) {
  to.write_as({at, where}, values);
}

template <class T>
class Shared {
 public:
  using Element = T;
  using Value = std::remove_const_t<T>;

  Shared() = default;
  Shared(std::nullptr_t) {}  // NOLINT
  Shared(host::SharedArray& array, int64_t count) : array_(&array), count_(count) {}
  operator Shared<const T>() const  // NOLINT
    requires(!std::is_const_v<T>)
  {
    return array_ == nullptr ? Shared<const T>() : Shared<const T>(*array_, count_) + first_;
  }

  Shared operator+(int64_t n) const {
    Shared moved = *this;
    moved.first_ += n;
    return moved;
  }
  bool operator==(std::nullptr_t) const { return array_ == nullptr; }
  explicit operator bool() const { return array_ != nullptr; }

  auto operator[](const host::At& at) const { return host::entry_of(*this, at); }

  Value read(const host::At& at) const {
    access<&host::SharedArray::read>("reads", at);
    Value value;
    std::memcpy(&value, bytes(at), sizeof(T));
    return value;
  }
  void write(const host::At& at, const Value& value) const {
    access<&host::SharedArray::write>("writes", at);
    std::memcpy(bytes(at), &value, sizeof(T));
  }
  template <class Change>
  Value update(const host::At& at, Change change) const {
    access<&host::SharedArray::update>("updates", at);
    Value before;
    std::memcpy(&before, bytes(at), sizeof(T));
    const Value after = change(before);
    std::memcpy(bytes(at), &after, sizeof(T));
    return before;
  }

 private:
  template <auto kAccess>
  void access(const char* does, const host::At& at) const {
    host::check_inside(does, first_ + at.index, 1, "a shared array", count_, at.where);
    const host::Block& block = host::Block::now();
    (array_->*kAccess)(first_ + at.index, block.stamp(at.where), block.clock());
  }
  std::byte* bytes(const host::At& at) const { return array_->at(first_ + at.index); }

  host::SharedArray* array_ = nullptr;
  int64_t first_ = 0;
  int64_t count_ = 0;
};

// The block's array of so many entries, one for each type, length and tag.
template <class T, size_t kCount, int kTag = 0>
Shared<T> shared_array() {
  static const char key = 0;
  return {host::Block::now().shared(&key, sizeof(T), kCount), kCount};
}

// The first entries of what the launch's shape gives beyond shared_array.
template <class T>
Shared<T> dynamic_shared(int64_t count) {
  return {host::Block::now().dynamic_shared(sizeof(T), count), count};
}

}  // namespace fastsciml::core
