// SPDX-License-Identifier: LGPL-2.1-or-later
// The reader of every message, generated: the first two bytes choose which. What is accepted must
// be written to bytes that read as the same again.
#include "base/check.h"
#include "rpc/every_message.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace segue;
    static const std::vector<rpc::AnyMessage> kMessages = rpc::every_message();
    if (size < 2) return 0;
    const rpc::AnyMessage& message = kMessages[(data[0] * 256u + data[1]) % kMessages.size()];
    const auto once = message.again(ByteView(data + 2, size - 2));
    if (!once) return 0;
    const auto twice = message.again(*once);
    ENSURE(twice && *twice == *once);
    return 0;
}
