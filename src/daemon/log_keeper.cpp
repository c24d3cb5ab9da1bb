// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/log_keeper.h"

#include <filesystem>
#include <initializer_list>
#include <utility>

#include "qemu/plain_file.h"

namespace segue {
namespace {

void bound_logs(const std::string& folder, std::initializer_list<const char*> names,
                const LogKeeper::Limits& limits) {
    std::error_code code;
    for (std::filesystem::directory_iterator entry(folder, code), end; !code && entry != end;
         entry.increment(code)) {
        for (const char* name : names)
            bound_log(entry->path() / name, limits.most, limits.kept);
    }
}

}  // namespace

LogKeeper::LogKeeper(Loop& loop, std::string state, Limits limits)
    : state_(std::move(state)), limits_(limits) {
    timer_ = loop.make_timer([this] { look(); });
    timer_->start(limits_.every);
}

void LogKeeper::look() {
    bound_logs(state_ + "/domains", {"stderr.log"}, limits_);
    bound_logs(state_ + "/protection", {"log", "standby/qemu.log"}, limits_);
    timer_->start(limits_.every);
}

}  // namespace segue
