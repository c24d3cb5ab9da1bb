// SPDX-License-Identifier: LGPL-2.1-or-later
// A protected domain that went to sleep: qemu/sleep_waker.h over its monitor.
#pragma once

#include <algorithm>

#include "daemon/answer.h"
#include "daemon/domain_object.h"
#include "daemon/guest.h"
#include "daemon/services.h"
#include "qemu/sleep_waker.h"

namespace segue {

struct Waker {
    static void wake(const Services& services, const DomainPointer& domain, Answer<> answer) {
        SleepWaker::wake(services.loop, guest_of(domain), std::move(answer));
    }
    static void wake_half_asleep(const Services& services, const DomainPointer& domain,
                                 Answer<> answer) {
        const auto& features = domain->model().features;
        const bool sleeps = std::find(features.begin(), features.end(), "acpi") != features.end();
        if (!sleeps) return answer({});
        SleepWaker::wake_half_asleep(services.loop, guest_of(domain), std::move(answer));
    }

  private:
    static SleepWaker::Guest guest_of(const DomainPointer& domain) {
        const auto ask = [weak = std::weak_ptr<DomainObject>(domain)](
                             const char* command, const Json& arguments, SleepWaker::Said said) {
            const auto still = weak.lock();
            const auto guest =
                still ? still->running_guest() : fail(ErrorCode::no_domain, "it is gone");
            if (!guest) return said(tl::unexpected(guest.error()));
            (*guest)->execute(command, arguments, std::move(said));
        };
        return {domain->name, ask};
    }
};

}  // namespace segue
