// SPDX-License-Identifier: LGPL-2.1-or-later
// Any bytes as a cookie of any step: refused, or read, written and read again alike.
#include <cstdlib>

#include "migrate/cookie.h"

using namespace segue;
using namespace segue::migrate;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const Uuid domain = *Uuid::parse("affc01dc-4829-4e4c-a871-873c291a4692");
    for (int step = 0; step < 4; ++step) {
        const CookieExpectation expected{static_cast<CookieStep>(step), "gf", domain, {}};
        const auto cookie = parse_cookie({data, size}, expected);
        if (!cookie) continue;
        const Bytes written = write_cookie(*cookie);
        const auto again = parse_cookie(written, expected);
        if (!again || write_cookie(*again) != written) std::abort();
    }
    return 0;
}
