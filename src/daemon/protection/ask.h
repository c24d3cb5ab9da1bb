// SPDX-License-Identifier: LGPL-2.1-or-later
// One question, one answer: to a helper beside a VM over its control socket, to another daemon over
// its RPC. Each opens a connection of its own, and gives it up with the answer.
#pragma once

#include "base/json.h"
#include "daemon/answer.h"
#include "daemon/services.h"

namespace segue {

// A helper's control socket: one JSON object a line, each way (segue-standby(8), segue-agent(8)).
void ask_helper(const Services& services, const std::string& socket, const Json& request,
                Answer<Json> answer, Duration bound = 10s);
// It was asked, and said no.
inline bool is_refused(const Result<Json>& said) {
    return !said && said.error().code == ErrorCode::operation_failed;
}

// A command of Segue's own program at the daemon of `uri`.
void ask_daemon(const Services& services, const std::string& uri, const std::string& command,
                const Json& arguments, Answer<Json> answer);

}  // namespace segue
