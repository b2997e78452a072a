// Fibers: functions on stacks of their own that take turns on one host thread. Switching costs some nanoseconds, so
// that a block of CUDA threads may be one each.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
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
class Stacks {
 public:
  static constexpr size_t kBytes = 256 << 10;

  static char* take() {
    auto& spare = kept();
    if (!spare.empty()) {
      char* stack = spare.back();
      spare.pop_back();
      return stack;
    }
    void* stack = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stack == MAP_FAILED) throw std::bad_alloc();
    return static_cast<char*>(stack);
  }
  static void give(char* stack) { kept().push_back(stack); }

 private:
  static std::vector<char*>& kept() {
    static thread_local std::vector<char*> spare;
    return spare;
  }
};

// One function on its own stack. resume() runs it until it pauses or ends.
class Fiber {
 public:
  explicit Fiber(std::function<void()> body) : body_(std::move(body)), stack_(Stacks::take()) { restart(); }
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;
  ~Fiber() { Stacks::give(stack_); }

  // From the beginning. A fiber that has not ended is dropped where it stands: what lies on its stack is not destroyed.
  void restart() {
    auto** top = reinterpret_cast<void**>(stack_ + Stacks::kBytes);
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
    fastsciml_fiber_switch(&outside_, inside_);
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  }
  // Called on the fiber's own stack.
  void pause() { fastsciml_fiber_switch(&inside_, outside_); }

  // The first and the last words on the fiber's own stack, which no exception may leave.
  void main() {
    try {
      body_();
    } catch (...) {
      error_ = std::current_exception();
    }
    ended_ = true;
    pause();
  }

 private:
  std::function<void()> body_;
  char* stack_;
  void* inside_ = nullptr;
  void* outside_ = nullptr;
  bool ended_ = false;
  std::exception_ptr error_;
};

}  // namespace fastsciml::core::host
