// What kernels move: every access to global memory is counted while counting is on, and the sectors and lines of memory
// that a block touches, once for each block. A cache that lives as long as a block, and no longer, would move just
// that.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace fastsciml::core::host {

inline constexpr uint64_t kSectorBytes = 32, kLineBytes = 128;

struct Moved {
  uint64_t bytes = 0;  // of all accesses
  uint64_t sector_bytes = 0;
  uint64_t line_bytes = 0;
};

struct Traffic {
  std::string kernel;
  uint64_t blocks = 0;
  uint64_t threads = 0;  // of a block
  Moved read{}, written{};
  uint64_t shared_accesses = 0;
  uint64_t barriers = 0;
  uint64_t flops = 0;  // 0 where they do not count
};

// Floating-point operations so far, where they count (counted_floats.h).
inline uint64_t flops = 0;

class Counter {
 public:
  // The one that counts now, or null.
  static Counter*& now() {
    static constinit Counter* counter = nullptr;
    return counter;
  }

  Counter() { now() = this; }
  Counter(const Counter&) = delete;
  Counter& operator=(const Counter&) = delete;
  ~Counter() { now() = nullptr; }

  void begin_block() {
    ++block_;
    taken_ = 0;
  }
  void read(const void* at, size_t bytes) { count(at, bytes, read_, &Line::read); }
  void write(const void* at, size_t bytes) { count(at, bytes, written_, &Line::written); }

  const Moved& read() const { return read_; }
  const Moved& written() const { return written_; }

 private:
  // A line that a block has touched, and the bits of its sectors. One of an earlier block is free to be taken.
  struct Line {
    uint64_t number = 0;
    uint32_t block = 0;
    uint8_t read = 0, written = 0;
  };

  void count(const void* at, size_t bytes, Moved& moved, uint8_t Line::* sectors) {
    moved.bytes += bytes;
    const auto address = reinterpret_cast<uintptr_t>(at);
    for (uint64_t sector = address / kSectorBytes; sector <= (address + bytes - 1) / kSectorBytes; ++sector) {
      constexpr uint64_t per_line = kLineBytes / kSectorBytes;
      uint8_t& seen = line(sector / per_line).*sectors;
      const auto bit = static_cast<uint8_t>(1u << sector % per_line);
      if (seen & bit) continue;
      moved.sector_bytes += kSectorBytes;
      if (seen == 0) moved.line_bytes += kLineBytes;
      seen |= bit;
    }
  }

  Line& line(uint64_t number) {
    Line* found = &place(number);
    if (found->block != block_) {
      if (2 * taken_ >= lines_.size()) {
        grow();
        found = &place(number);
      }
      ++taken_;
      *found = {.number = number, .block = block_};
    }
    return *found;
  }
  // Where it lies, or would.
  Line& place(uint64_t number) {
    uint64_t at = number * 0x9e3779b97f4a7c15u >> shift_;
    while (lines_[at].block == block_ && lines_[at].number != number) at = (at + 1) & (lines_.size() - 1);
    return lines_[at];
  }
  void grow() {
    const std::vector<Line> before = std::exchange(lines_, std::vector<Line>(2 * lines_.size()));
    --shift_;
    for (const Line& line : before) {
      if (line.block == block_) place(line.number) = line;
    }
  }

  Moved read_, written_;
  std::vector<Line> lines_ = std::vector<Line>(1024);
  int shift_ = 64 - 10;
  uint32_t block_ = 0;
  size_t taken_ = 0;
};

// The launches counted since counting began.
inline bool counting = false;
inline std::vector<Traffic> counted;

}  // namespace fastsciml::core::host
