// SPDX-License-Identifier: LGPL-2.1-or-later
#include "base/large_memory.h"

#include <sys/mman.h>

#include <cstdlib>

namespace segue {

namespace {
// Of x86-64 and of most others; where it is another, the kernel takes no notice of the wish.
constexpr std::size_t kHugePage = std::size_t{2} << 20;
}  // namespace

void FreeLarge::operator()(std::uint8_t* memory) const {
    std::free(memory);
}

LargeMemory allocate_large(std::size_t size) {
    if (size < kHugePage) return LargeMemory(static_cast<std::uint8_t*>(std::malloc(size)));
    void* memory = nullptr;
    if (posix_memalign(&memory, kHugePage, size) != 0) return nullptr;
    // The rest behind the last whole one stays as it is: no more memory is taken than was asked
    // for. A refusal leaves pages of the usual size.
    (void)madvise(memory, size / kHugePage * kHugePage, MADV_HUGEPAGE);
    return LargeMemory(static_cast<std::uint8_t*>(memory));
}

}  // namespace segue
