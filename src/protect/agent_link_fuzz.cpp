// SPDX-License-Identifier: LGPL-2.1-or-later
// What an agent or a standby may get from the other end: every byte sequence.
#include "protect/agent_link.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace segue;
    if (size == 0) return 0;
    AgentLink link(data[0] % 2 == 0 ? AgentLink::End::agent : AgentLink::End::standby);
    ByteView input(data + 1, size - 1);
    AgentLink::Message message;
    for (;;) {
        const auto used = link.next(input, message);
        if (!used || *used == 0) return 0;
        input = input.subspan(*used);
    }
}
