// SPDX-License-Identifier: LGPL-2.1-or-later
// For tests: a QEMU monitor that agrees to everything, or answers as it is told.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "net/connection.h"
#include "net/listen.h"

namespace segue {

class TestMonitor {
  public:
    // What "return" holds for a command; called before it is said.
    using Answers = std::function<Json(const Json& command)>;

    // `name` is of one test, in the directory of all.
    TestMonitor(
        Loop& loop, const std::string& directory, const std::string& name,
        Answers answers = [](const Json&) { return Json::object(); })
        : path(directory + "segue-" + name + "-" + std::to_string(::getpid())),
          answers_(std::move(answers)) {
        listener_ = net::Listener::make(loop, net::Address::of_unix(path), {},
                                        [this, &loop](net::Descriptor socket, const auto&) {
                                            accept(loop, std::move(socket));
                                        })
                        .value();
    }

    // Without the negotiation that every connection begins with.
    std::size_t asked() const { return commands_.size() - asked("qmp_capabilities"); }
    std::size_t asked(std::string_view name) const {
        return static_cast<std::size_t>(std::count(commands_.begin(), commands_.end(), name));
    }

    const std::string path;

  private:
    void accept(Loop& loop, net::Descriptor socket) {
        net::Connection::Handlers handlers;
        handlers.on_input = [this](ByteView bytes) { hear(as_text(bytes)); };
        handlers.on_closed = [](const Error&) {};
        connection_ = std::make_unique<net::Connection>(loop, std::move(socket), handlers);
        connection_->start();
        say(R"({"QMP":{"version":{"qemu":{"major":7,"minor":2,"micro":0}},"capabilities":[]}})");
    }
    void hear(std::string_view bytes) {
        heard_ += bytes;
        for (std::size_t end; (end = heard_.find('\n')) != heard_.npos; heard_.erase(0, end + 1)) {
            const Json command = Json::parse(heard_.substr(0, end)).value();
            commands_.emplace_back(command.text("execute"));
            const bool agrees = commands_.back() == "qmp_capabilities";
            Json answer = agrees ? Json::object() : answers_(command);
            say(Json::object({{"return", std::move(answer)}, {"id", command.u64("id")}}).dump());
        }
    }
    void say(const std::string& line) {
        const std::string whole = line + "\n";
        connection_->send(Bytes(whole.begin(), whole.end()));
    }

    Answers answers_;
    std::unique_ptr<net::Listener> listener_;
    std::unique_ptr<net::Connection> connection_;
    std::string heard_;
    std::vector<std::string> commands_;
};

}  // namespace segue
