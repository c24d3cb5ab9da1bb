// SPDX-License-Identifier: LGPL-2.1-or-later
// Result<T>: what every fallible function returns. Libraries do not throw.
#pragma once

#include <fmt/format.h>

#include <tl/expected.hpp>
#include <type_traits>

#include "base/error.h"

namespace segue {

template <class T = void>
using Result = tl::expected<T, Error>;

// return fail(ErrorCode::no_domain, "no domain with name '{}'", name);
template <class... Args>
[[nodiscard]] tl::unexpected<Error> fail(ErrorCode code, fmt::format_string<Args...> format,
                                         Args&&... args) {
    return tl::unexpected<Error>(Error{code, fmt::format(format, std::forward<Args>(args)...)});
}

// fail_errno("open", path): code system, message "open 'PATH': No such file or directory".
[[nodiscard]] tl::unexpected<Error> fail_errno(std::string_view what, std::string_view thing,
                                               int error_number);

// The value of a result that has one; nothing for Result<> (tl::expected<void> has no value()).
template <class T>
T take_value(Result<T>&& result) {
    if constexpr (!std::is_void_v<T>) return std::move(*result);
}

}  // namespace segue

// TRY(expression): the value, or an early return of its error. A GNU statement expression, which
// both compilers that we support have.
#define TRY(...)                                                                       \
    __extension__({                                                                    \
        auto segue_try_result = (__VA_ARGS__);                                         \
        if (!segue_try_result) return ::tl::make_unexpected(segue_try_result.error()); \
        ::segue::take_value(std::move(segue_try_result));                              \
    })
