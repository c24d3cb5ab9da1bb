// SPDX-License-Identifier: LGPL-2.1-or-later
// A question to whoever decides between a primary and its standby, by its URI: a third daemon
// (daemon/protection/witness.h answers it) or an etcd cluster, with the same words and answers.
#pragma once

#include "base/json.h"
#include "daemon/answer.h"
#include "daemon/services.h"

namespace segue {

void ask_arbiter(const Services& services, const std::string& uri, const std::string& command,
                 const Json& arguments, Answer<Json> answer);

}  // namespace segue
