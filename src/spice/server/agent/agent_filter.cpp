// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/agent/agent_filter.h"

#include <spice/vd_agent.h>

namespace segue::spice::server {
namespace {

AgentFilter::Verdict judge(std::uint32_t type, const AgentRules& rules) {
    using Verdict = AgentFilter::Verdict;
    switch (type) {
        case VD_AGENT_CLIPBOARD:
        case VD_AGENT_CLIPBOARD_GRAB:
        case VD_AGENT_CLIPBOARD_REQUEST:
        case VD_AGENT_CLIPBOARD_RELEASE: return rules.copy_paste ? Verdict::pass : Verdict::drop;
        case VD_AGENT_FILE_XFER_START:
        case VD_AGENT_FILE_XFER_STATUS:
        case VD_AGENT_FILE_XFER_DATA: return rules.file_transfer ? Verdict::pass : Verdict::drop;
        case VD_AGENT_MONITORS_CONFIG:
            return rules.monitors_to_devices && rules.monitors_to_devices() ? Verdict::monitors
                                                                            : Verdict::pass;
        default: return Verdict::pass;
    }
}

}  // namespace

AgentFilter::Verdict AgentFilter::process(ByteView piece, const AgentRules& rules) {
    if (piece.size() > VD_AGENT_MAX_DATA_SIZE) return Verdict::broken;
    std::size_t data = piece.size();
    if (remaining_ == 0) {
        LittleReader reader(piece);
        const std::uint32_t protocol = reader.u32();
        const std::uint32_t type = reader.u32();
        reader.u64();  // opaque to us
        const std::uint32_t size = reader.u32();
        if (!reader.ok() || protocol != VD_AGENT_PROTOCOL) return Verdict::broken;
        remaining_ = size;
        verdict_ = judge(type, rules);
        data -= sizeof(VDAgentMessage);
    }
    if (data > remaining_) return Verdict::broken;
    remaining_ -= static_cast<std::uint32_t>(data);
    return verdict_;
}

}  // namespace segue::spice::server
