// SPDX-License-Identifier: LGPL-2.1-or-later
// The wall between us and C: no exception passes it.
#pragma once

#include <exception>
#include <utility>

#include "base/log.h"

namespace segue::spice::abi {

// Runs the body; an exception becomes a line in the log and the fallback value.
template <class Value, class Body>
Value guarded_value(const char* where, Value fallback, const Body& body) noexcept {
    try {
        return body();
    } catch (const std::exception& failure) {
        try {
            log_error("spice", "{}: {}", where, failure.what());
        } catch (...) {  // no memory even for the line
        }
    } catch (...) {
    }
    return fallback;
}

template <class Body>
void guarded(const char* where, const Body& body) noexcept {
    guarded_value(where, 0, [&] {
        body();
        return 0;
    });
}

}  // namespace segue::spice::abi
