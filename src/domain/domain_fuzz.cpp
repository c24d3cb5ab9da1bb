// SPDX-License-Identifier: LGPL-2.1-or-later
// Any bytes as a domain definition, or as the CPU that another daemon tells of. What is accepted
// must be writable and mean the same when it is read again.
#include "base/check.h"
#include "domain/alias.h"
#include "domain/complete.h"
#include "domain/guest_cpu.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace segue;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    if (const auto cpu = parse_guest_cpu(text)) {
        ENSURE(parse_guest_cpu(print_xml(format_guest_cpu(*cpu)))->features == cpu->features);
    }
    auto domain = parse_domain(text);
    if (!domain) return 0;
    SeededRandom random(1);
    if (!complete_domain(*domain, {.machine = qemu_7_2_machine, .random = random})) return 0;
    const std::string stored = print_domain(*domain, {.secure = true});
    auto again = parse_domain(stored);
    ENSURE(again.has_value());
    ENSURE(complete_domain(*again, {.machine = qemu_7_2_machine, .random = random}).has_value());
    ENSURE(print_domain(*again, {.secure = true}) == stored);
    prepare_to_run(*domain, 1);
    print_domain(*domain, {.inactive = false});
    print_domain(*domain, {.secure = true, .inactive = false, .migratable = true});
    return 0;
}
