// How the system backs a tensor's memory.
//
// Before it is first touched: with huge pages. Its work at the first touch goes by the page: 4 KiB ones take a tenth of
// a solve at 256^3. Once nobody needs what is in it, as spare: the system may take such pages when it runs short, and
// until then they are there for the next one. Measured for 128 MiB on a virtual machine: the first touch takes 15 to
// 290 ms, all later ones 5, after being spare as well.

#include "core/pages.h"

#include <cstdint>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace fastsciml::core {
namespace {

#ifdef __linux__
// The whole pages of so many bytes in a tensor's memory; nothing where they are few: the system would clear whole huge
// pages for a small array.
void advise(const Tensor& memory, uintptr_t page, int advice) {
  constexpr uintptr_t kLeastBytes = 1 << 22;
  const auto begin = reinterpret_cast<uintptr_t>(memory.data_ptr());
  const uintptr_t end = begin + static_cast<uintptr_t>(memory.numel()) * memory.element_size();
  const uintptr_t first = (begin + page - 1) / page * page, last = end / page * page;
  if (end - begin < kLeastBytes || first >= last) return;
  // A system that cannot is no error.
  (void)madvise(reinterpret_cast<void*>(first), last - first, advice);
}
#endif

}  // namespace

void advise_huge_pages([[maybe_unused]] Tensor memory) {
#ifdef __linux__
  advise(memory, 1 << 12, MADV_HUGEPAGE);
#endif
}

void advise_spare([[maybe_unused]] Tensor memory) {
#if defined(__linux__) && defined(MADV_FREE)
  // A huge page of which a part is spare would be split.
  advise(memory, 1 << 21, MADV_FREE);
#endif
}

}  // namespace fastsciml::core
