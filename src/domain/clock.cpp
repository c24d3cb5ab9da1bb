// SPDX-License-Identifier: LGPL-2.1-or-later
#include "domain/clock.h"

#include "domain/choice.h"

namespace segue {
namespace {

constexpr std::string_view kOffsets[] = {"utc", "localtime"};
constexpr std::string_view kTimers[] = {"rtc", "pit", "hpet", "kvmclock", "hypervclock", "tsc"};
constexpr std::string_view kPolicies[] = {"delay", "catchup", "merge", "discard"};
constexpr std::string_view kTracks[] = {"boot", "guest", "wall"};
constexpr std::size_t kMaxTimers = 16;

}  // namespace

Result<GuestClock> parse_clock(XmlCursor& from) {
    GuestClock clock;
    clock.offset = TRY(choice(from, "offset", kOffsets)).value_or("utc");
    while (XmlCursor* timer = from.child("timer")) {
        GuestTimer made;
        made.name = TRY(choice(*timer, "name", kTimers)).value_or("");
        if (made.name.empty()) return fail(ErrorCode::xml_invalid, "missing timer name");
        made.present = TRY(timer->yes_no("present"));
        made.tick_policy = TRY(choice(*timer, "tickpolicy", kPolicies));
        made.track = TRY(choice(*timer, "track", kTracks));
        made.unknown = timer->unknown();
        timer->take_all();
        if (clock.timers.size() >= kMaxTimers) {
            return fail(ErrorCode::limit_exceeded, "more than {} timers", kMaxTimers);
        }
        clock.timers.push_back(std::move(made));
    }
    clock.unknown = from.unknown();
    return clock;
}

XmlElement format_clock(const GuestClock& clock) {
    XmlElement out;
    out.name = "clock";
    out.set("offset", clock.offset);
    for (const GuestTimer& timer : clock.timers) {
        XmlElement& made = out.add("timer").set("name", timer.name);
        if (timer.present) made.set("present", *timer.present ? "yes" : "no");
        made.set_if("tickpolicy", timer.tick_policy).set_if("track", timer.track);
        merge_unknown(made, timer.unknown);
    }
    merge_unknown(out, clock.unknown);
    return out;
}

}  // namespace segue
