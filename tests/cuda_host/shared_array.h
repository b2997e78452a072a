// One array in a block's shared memory, and for each entry who has written and read it and when. An access that another
// thread's comes too close to is a Fault, whichever of them was first here: exact, with both lines, where a thread
// sanitizer would see one host thread and no race at all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "cuda_host/clock.h"

namespace fastsciml::core::host {

class SharedArray {
 public:
  SharedArray(const void* key, size_t entry_bytes, size_t count)
      : key_(key), entry_bytes_(entry_bytes), bytes_(entry_bytes * count), entries_(count) {}

  const void* key() const { return key_; }
  size_t entry_bytes() const { return entry_bytes_; }
  size_t bytes() const { return bytes_.size(); }
  std::byte* at(int64_t index) { return bytes_.data() + static_cast<size_t>(index) * entry_bytes_; }
  uint64_t accesses() const { return accesses_; }

  void read(int64_t index, const Stamp& now, const Clock& clock) {
    Entry& entry = touch(index);
    const Access access{"reads", index, now, clock};
    access.needs(entry.write);
    access.comes_after(entry.write, "writes");
    access.comes_after(entry.updates, "updates");
    entry.reads.add(now, clock);
  }

  void write(int64_t index, const Stamp& now, const Clock& clock) {
    Entry& entry = touch(index);
    const Access access{"writes", index, now, clock};
    access.comes_after(entry.write, "writes");
    access.comes_after(entry.updates, "updates");
    access.comes_after(entry.reads, "reads");
    entry = {.write = now};
  }

  // Atomic accesses are not in each other's way.
  void update(int64_t index, const Stamp& now, const Clock& clock) {
    Entry& entry = touch(index);
    const Access access{"updates", index, now, clock};
    access.needs(entry.write);
    access.comes_after(entry.write, "writes");
    access.comes_after(entry.reads, "reads");
    entry.updates.add(now, clock);
  }

 private:
  // Two accesses that stand for all of one kind in an epoch: of several warps, two of different ones, as nobody knows
  // both; of one warp, the last ones of two threads. Whoever knows those knows the ones before, but for exchanges of
  // some lanes only: a third lane's access can then escape in one order of turns, not in all.
  struct Two {
    Stamp last{}, other{};

    void add(const Stamp& now, const Clock& clock) {
      if (!clock.in_this_epoch(last) || last.thread == now.thread) {
        last = now;
      } else if (!clock.in_this_epoch(other) || other.warp() == last.warp()) {
        other = std::exchange(last, now);
      }
    }
  };
  struct Entry {
    Stamp write{};
    Two updates{}, reads{};  // since then
  };

  struct Access {
    const char* does;
    int64_t index;
    const Stamp& now;
    const Clock& clock;

    void needs(const Stamp& write) const {
      if (!clock.in_this_block(write))
        throw Fault(described() + ", which nobody has written, at " + line_of(now.where));
    }
    void comes_after(const Stamp& then, const char* did) const {
      if (clock.over(then, now.thread)) return;
      throw Fault(described() + " at " + line_of(now.where) + ", " + name(then.thread) + " " + did + " it at " +
                  line_of(then.where) + ", and nothing orders the two");
    }
    void comes_after(const Two& then, const char* did) const {
      comes_after(then.last, did);
      comes_after(then.other, did);
    }
    std::string described() const {
      return name(now.thread) + " " + does + " entry " + std::to_string(index) + " of shared memory";
    }
  };

  Entry& touch(int64_t index) {
    ++accesses_;
    return entries_[static_cast<size_t>(index)];
  }

  const void* key_;
  size_t entry_bytes_;
  std::vector<std::byte> bytes_;
  std::vector<Entry> entries_;
  uint64_t accesses_ = 0;
};

}  // namespace fastsciml::core::host
