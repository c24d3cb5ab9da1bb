// SPDX-License-Identifier: LGPL-2.1-or-later
#include "base/result.h"

#include <system_error>

namespace segue {

tl::unexpected<Error> fail_errno(std::string_view what, std::string_view thing, int error_number) {
    return fail(ErrorCode::system, "{} '{}': {}", what, thing,
                std::generic_category().message(error_number));
}

}  // namespace segue
