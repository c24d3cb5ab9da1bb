// SPDX-License-Identifier: LGPL-2.1-or-later
// Memory for pictures. Fresh memory comes from the kernel a page of 4 KiB at a time, which costs
// more than decoding into it; what is large asks for pages of 2 MiB instead.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace segue {

struct FreeLarge {
    void operator()(std::uint8_t* memory) const;
};
using LargeMemory = std::unique_ptr<std::uint8_t[], FreeLarge>;

// `size` bytes of any value, aligned for every type; null: there is no memory.
LargeMemory allocate_large(std::size_t size);

}  // namespace segue
