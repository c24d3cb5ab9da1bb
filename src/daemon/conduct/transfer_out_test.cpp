// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/conduct/transfer_out.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "net/connection.h"
#include "net/listen.h"
#include "net/test_loop.h"

namespace segue {
namespace {

// A monitor that agrees to everything, and counts what it is asked.
class AgreeableMonitor {
  public:
    explicit AgreeableMonitor(Loop& loop)
        : path(::testing::TempDir() + "segue-monitor-" + std::to_string(::getpid())) {
        listener_ = net::Listener::make(loop, net::Address::of_unix(path), {},
                                        [this, &loop](net::Descriptor socket, const auto&) {
                                            accept(loop, std::move(socket));
                                        })
                        .value();
    }
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
            say(Json::object({{"return", Json::object()}, {"id", command.u64("id")}}).dump());
        }
    }
    void say(const std::string& line) {
        const std::string whole = line + "\n";
        connection_->send(Bytes(whole.begin(), whole.end()));
    }

    std::unique_ptr<net::Listener> listener_;
    std::unique_ptr<net::Connection> connection_;
    std::string heard_;
    std::vector<std::string> commands_;
};

TEST(TransferOut, AsksNobodyOnceQemuIsGone) {
    net::TestLoop loop;
    AgreeableMonitor monitor(*loop);
    auto guest = std::make_unique<Guest>(*loop, monitor.path, 0, Guest::Handlers{});
    TransferOut transfer(*loop);
    transfer.start(
        *guest, {.uri = "tcp:127.0.0.1:1", .options = {}, .tuning = {}, .tls_directory = {}}, {});
    ASSERT_TRUE(loop.run_until([&] { return monitor.asked("query-migrate") >= 2; }, 20s));
    guest.reset();  // the timer of the next question is running
    const std::size_t before = monitor.asked("query-migrate");
    loop.run_for(300ms);
    EXPECT_LE(monitor.asked("query-migrate"), before + 1);
}

}  // namespace
}  // namespace segue
