// SPDX-License-Identifier: LGPL-2.1-or-later
// Runs another program for its answer, within a bound: a probe that hangs is an answer too.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace segue::cli {

struct ProbeAnswer {
    int exit_code = -1;  // 128 + N: ended by signal N
    std::string output;  // of standard output, at most 1 MiB
};

// Looks the program up in PATH. timeout: it was killed after `bound`. Its standard error is
// dropped.
Result<ProbeAnswer> probe(const std::vector<std::string>& command, Duration bound);

// Whether hardware acceleration answers. A child asks /dev/kvm (KVM_GET_API_VERSION and
// KVM_CREATE_VM), because on some hosts the device exists and its calls never return.
Result<> probe_kvm(Duration bound);

}  // namespace segue::cli
