// SPDX-License-Identifier: LGPL-2.1-or-later
// What Prepare on this host would refuse, found without taking anything: the destination's part of
// `segue migrate --check`.
#pragma once

#include "base/json.h"
#include "daemon/answer.h"
#include "daemon/services.h"

namespace segue {

// Of `arguments`: `xml` (what Begin gave), `flags`, and as far as they were given `name`, `uri` and
// `listen_address`. Answers with `findings`: each `what`, `passed`, `found` and, where it did not
// pass, `fix`. Only malformed arguments are an error. What the guest sees of its processor is first
// known when its QEMU is there, and is not among them.
void check_arrival(const Services& services, const Json& arguments, Answer<Json> answer);

}  // namespace segue
