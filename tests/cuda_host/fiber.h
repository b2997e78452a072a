// Fibers: functions on stacks of their own that take turns on one host thread. Switching costs some nanoseconds, so
// that a block of CUDA threads may be one each.
#pragma once

#include <sys/mman.h>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <utility>
#include <vector>

// fiber.cpp. Keeps the registers that a call must keep on this stack, stores the stack's pointer in *from, and goes on
// where `to` was stored.
extern "C" void fastsciml_fiber_switch(void** from, void* to);
// Where a new stack begins: calls main() of the Fiber that stands in a kept register.
extern "C" void fastsciml_fiber_entry();

namespace fastsciml::core::host {

// Memory for stacks, kept for the next block. Pages that no thread has touched cost nothing.
class Stack {
 public:
  static constexpr size_t kBytes = 256 << 10;

  Stack() : bytes_(take()) {}

  char* bottom() const { return bytes_.get(); }
  char* top() const { return bytes_.get() + kBytes; }

 private:
  struct Keep {
    void operator()(char* stack) const { spare().push_back(stack); }
  };
  static std::vector<char*>& spare() {
    static std::vector<char*> stacks;
    return stacks;
  }
  static char* take() {
    auto& stacks = spare();
    if (!stacks.empty()) {
      char* stack = stacks.back();
      stacks.pop_back();
      return stack;
    }
    void* stack = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stack == MAP_FAILED) throw std::bad_alloc();
    return static_cast<char*>(stack);
  }

  std::unique_ptr<char, Keep> bytes_;
};

// What AddressSanitizer, which watches the stack, must be told around a switch.
#ifdef __SANITIZE_ADDRESS__
class Watched {
 public:
  void leaves_for(const void* bottom, size_t bytes) { __sanitizer_start_switch_fiber(&kept_, bottom, bytes); }
  void is_back() { __sanitizer_finish_switch_fiber(kept_, nullptr, nullptr); }
  // On a new stack; tells where it was called from.
  static void begins(const void** bottom, size_t* bytes) { __sanitizer_finish_switch_fiber(nullptr, bottom, bytes); }
  static void forget(const void* bottom, size_t bytes) { __asan_unpoison_memory_region(bottom, bytes); }

 private:
  void* kept_ = nullptr;
};
#else
class Watched {
 public:
  void leaves_for(const void*, size_t) {}
  void is_back() {}
  static void begins(const void**, size_t*) {}
  static void forget(const void*, size_t) {}
};
#endif

// One function on its own stack. resume() runs it until it pauses or ends.
class Fiber {
 public:
  explicit Fiber(const std::function<void()>& body) : body_(&body) {}

  // From the beginning. A fiber that has not ended is dropped where it stands: what lies on its stack is not destroyed.
  void restart() {
    Watched::forget(stack_.bottom(), Stack::kBytes);
    auto** top = reinterpret_cast<void**>(stack_.top());
#if defined(__x86_64__)
    // Six registers and the address to return to, below two words that align the stack for a call.
    top -= 9;
    top[3] = this;  // r12
    top[6] = reinterpret_cast<void*>(&fastsciml_fiber_entry);
#else
    top -= 20;
    top[0] = this;  // x19
    top[11] = reinterpret_cast<void*>(&fastsciml_fiber_entry);
#endif
    inside_ = top;
    ended_ = false;
  }

  bool ended() const { return ended_; }

  void resume() {
    watched_outside_.leaves_for(stack_.bottom(), Stack::kBytes);
    fastsciml_fiber_switch(&outside_, inside_);
    watched_outside_.is_back();
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  }
  // Called on the fiber's own stack.
  void pause() {
    watched_inside_.leaves_for(outer_bottom_, outer_bytes_);
    fastsciml_fiber_switch(&inside_, outside_);
    watched_inside_.is_back();
  }

  // The first and the last words on the fiber's own stack, which no exception may leave.
  void main() {
    Watched::begins(&outer_bottom_, &outer_bytes_);
    try {
      (*body_)();
    } catch (...) {
      error_ = std::current_exception();
    }
    ended_ = true;
    pause();
  }

 private:
  const std::function<void()>* body_;
  Stack stack_;
  void* inside_ = nullptr;
  void* outside_ = nullptr;
  bool ended_ = false;
  std::exception_ptr error_;
  Watched watched_inside_, watched_outside_;
  const void* outer_bottom_ = nullptr;
  size_t outer_bytes_ = 0;
};

}  // namespace fastsciml::core::host
