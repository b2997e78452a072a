// Asks the system to back a tensor's memory with huge pages before it is first touched. Large arrays are fresh from the
// system in every solve, and its work at the first touch goes by the page: 4 KiB ones take a tenth of a solve at 256^3.

#include "core/huge_pages.h"

#include <cstdint>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace fastsciml::core {

void advise_huge_pages(Tensor memory) {
#ifdef __linux__
  // Smaller arrays gain nothing: the system would clear whole huge pages for them.
  constexpr uintptr_t kLeastBytes = 1 << 22, kPage = 1 << 12;
  const auto begin = reinterpret_cast<uintptr_t>(memory.data_ptr());
  const uintptr_t end = begin + static_cast<uintptr_t>(memory.numel()) * memory.element_size();
  const uintptr_t first = (begin + kPage - 1) / kPage * kPage;
  if (end - begin < kLeastBytes) return;
  // A system that cannot is no error: the pages stay small.
  (void)madvise(reinterpret_cast<void*>(first), end - first, MADV_HUGEPAGE);
#else
  (void)memory;
#endif
}

}  // namespace fastsciml::core
