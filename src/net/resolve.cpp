// SPDX-License-Identifier: LGPL-2.1-or-later
#include "net/resolve.h"

#include <netdb.h>

#include <cstring>
#include <mutex>
#include <system_error>
#include <thread>

namespace segue::net {
namespace {

struct Question {
    Resolver::OnResolved on_resolved;
};

Result<std::vector<SocketAddress>> ask_system(const std::string& host, std::uint16_t port) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    const int error = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
    if (error != 0) {
        return fail(ErrorCode::system, "cannot resolve host name '{}': {}", host,
                    ::gai_strerror(error));
    }
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> list(found, &::freeaddrinfo);
    std::vector<SocketAddress> addresses;
    for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
        SocketAddress address;
        if (one->ai_addrlen > sizeof address.storage) continue;
        std::memcpy(&address.storage, one->ai_addr, one->ai_addrlen);
        address.size = one->ai_addrlen;
        addresses.push_back(address);
    }
    return addresses;
}

}  // namespace

// Outlives the resolver while a thread still waits for an answer.
struct Resolver::Shared {
    std::mutex mutex;
    Loop* loop;  // null when the resolver is gone
    int running = 0;

    void answer(const std::weak_ptr<Question>& question,
                Result<std::vector<SocketAddress>> addresses) {
        const std::lock_guard lock(mutex);
        if (loop == nullptr) return;
        loop->post([question, addresses = std::move(addresses)] {
            const auto still_wanted = question.lock();
            if (still_wanted) still_wanted->on_resolved(addresses);
        });
    }
};

Resolver::Resolver(Loop& loop) : shared_(std::make_shared<Shared>()) {
    shared_->loop = &loop;
}

Resolver::~Resolver() {
    const std::lock_guard lock(shared_->mutex);
    shared_->loop = nullptr;
}

std::shared_ptr<void> Resolver::resolve(std::string host, std::uint16_t port,
                                        OnResolved on_resolved) {
    auto question = std::make_shared<Question>(Question{std::move(on_resolved)});
    const std::weak_ptr<Question> weak = question;
    if (auto numeric = SocketAddress::of_numeric(host, port); numeric && !host.empty()) {
        shared_->answer(weak, std::vector<SocketAddress>{*numeric});
        return question;
    }
    {
        const std::lock_guard lock(shared_->mutex);
        if (shared_->running < kMaxRunning) {
            ++shared_->running;
        } else {
            shared_->loop->post([weak, host] {
                const auto wanted = weak.lock();
                if (!wanted) return;
                wanted->on_resolved(fail(ErrorCode::limit_exceeded,
                                         "cannot resolve '{}' now: {} other questions wait for "
                                         "the name server; try again later",
                                         host, kMaxRunning));
            });
            return question;
        }
    }
    try {
        std::thread([shared = shared_, weak, host = std::move(host), port] {
            auto addresses = ask_system(host, port);
            shared->answer(weak, std::move(addresses));
            const std::lock_guard lock(shared->mutex);
            --shared->running;
        }).detach();
    } catch (const std::system_error& error) {
        shared_->answer(weak, fail(ErrorCode::system, "cannot start a thread: {}", error.what()));
        const std::lock_guard lock(shared_->mutex);
        --shared_->running;
    }
    return question;
}

}  // namespace segue::net
