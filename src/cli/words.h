// SPDX-License-Identifier: LGPL-2.1-or-later
// Numbers of the protocol as the words that virsh uses for them.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/json.h"
#include "rpc/remote_types.schema.h"

namespace segue::cli {

// "running", "shut off": virDomainState.
std::string_view state_word(int state);
// "migrated", "user": the reason of that state (virDomain*Reason).
std::string_view reason_word(int state, int reason);
// "unbounded", "completed", …: virDomainJobType.
std::string_view job_word(int type);
// "Started Migrated": virDomainEventType and its detail.
std::string event_words(int event, int detail);

Json to_json(std::span<const rpc::remote::TypedParameter> parameters);

}  // namespace segue::cli
