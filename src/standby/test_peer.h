// SPDX-License-Identifier: LGPL-2.1-or-later
// For tests: a folder for a while, and the other end of a unix socket that the room listens at.
#pragma once

#include <sys/socket.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include "base/check.h"
#include "net/connection.h"
#include "net/socket.h"

namespace segue::standby {

class TestFolder {
  public:
    TestFolder() {
        char name[] = "/dev/shm/segue-test-XXXXXX";
        path_ = ::mkdtemp(name);
    }
    ~TestFolder() { std::filesystem::remove_all(path_); }
    TestFolder(const TestFolder&) = delete;
    TestFolder& operator=(const TestFolder&) = delete;
    std::string file(std::string_view name) const { return path_ + '/' + std::string(name); }
    const std::string& path() const { return path_; }

  private:
    std::string path_;
};

// Keeps what it is sent.
struct TestPeer {
    TestPeer(Loop& loop, const std::string& path) {
        const auto address = net::SocketAddress::of_unix(path).value();
        auto socket = net::make_socket(AF_UNIX).value();
        ENSURE(::connect(socket.get(), address.get(), address.size) == 0);
        net::Connection::Handlers handlers;
        handlers.on_input = [this](ByteView bytes) {
            input.insert(input.end(), bytes.begin(), bytes.end());
        };
        handlers.on_closed = [this](const Error&) { closed = true; };
        connection =
            std::make_unique<net::Connection>(loop, std::move(socket), std::move(handlers));
        connection->set_output_limit(std::size_t{4} << 30);
        connection->start();
    }
    void send(Bytes bytes) const { connection->send(std::move(bytes)); }

    std::unique_ptr<net::Connection> connection;
    Bytes input;
    bool closed = false;
};

}  // namespace segue::standby
