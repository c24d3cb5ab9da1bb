// SPDX-License-Identifier: LGPL-2.1-or-later
// What `segue` says to the shell: segue(1), EXIT STATUS.
#pragma once

#include "base/error.h"

namespace segue::cli {

enum class ExitCode : int {
    ok = 0,
    failed = 1,
    usage = 2,
    not_found = 3,
    refused = 4,
    timed_out = 5,
    cancelled = 6,
    connection = 7,
};

inline ExitCode exit_code_of(const Error& error) {
    switch (error.code) {
        case ErrorCode::no_domain: return ExitCode::not_found;
        case ErrorCode::denied:
        case ErrorCode::operation_invalid:
        case ErrorCode::migrate_unsafe:
        case ErrorCode::auth_failed:
        case ErrorCode::exists: return ExitCode::refused;
        case ErrorCode::timeout: return ExitCode::timed_out;
        case ErrorCode::cancelled: return ExitCode::cancelled;
        case ErrorCode::connection_lost: return ExitCode::connection;
        default: return ExitCode::failed;
    }
}

}  // namespace segue::cli
