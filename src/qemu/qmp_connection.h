// SPDX-License-Identifier: LGPL-2.1-or-later
// QMP over a unix socket, on a Loop: the thin I/O around QmpProtocol.
//
// Callbacks run on the loop's thread, never from inside execute(). Any of them may destroy the
// connection; destroying it drops its callbacks without calling them.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/loop.h"
#include "qemu/qmp.h"

namespace segue {

class QmpConnection {
  public:
    using Callback = std::function<void(Result<Json>)>;

    struct Handlers {
        std::function<void(const QmpReady&)> ready = {};
        std::function<void(const QmpEvent&)> event = {};
        // Once, after the callbacks of all commands: connecting failed, the bound passed, QEMU went
        // away or broke the protocol. Not called for close() and the destructor.
        std::function<void(const Error&)> closed = {};
    };
    struct Options {
        // From open() to `ready`; within it the connect is tried again until QEMU listens.
        Duration connect_bound = 10s;
        Duration retry_every = 5ms;
        QmpLimits limits = {};
        std::uint64_t first_id = 0;  // see QmpProtocol
        // Who must be at the other end: the process with this pid, or a socket that a process of
        // our own user bound to this name in this folder. That is one which the starter made before
        // QEMU ran: a link to another one shows its own name, and what QEMU makes shows QEMU's
        // user. 0: only the latter. Nothing: anybody.
        std::optional<std::int32_t> server = {};
    };

    QmpConnection(Loop& loop, std::string socket_path, Handlers handlers, Options options);
    QmpConnection(Loop& loop, std::string socket_path, Handlers handlers)
        : QmpConnection(loop, std::move(socket_path), std::move(handlers), Options()) {}
    ~QmpConnection();
    QmpConnection(const QmpConnection&) = delete;
    QmpConnection& operator=(const QmpConnection&) = delete;

    // May be called before `ready`. The callback gets the "return" member, QEMU's error, a timeout
    // (QEMU may still carry the command out; its late reply is dropped), or why the monitor closed.
    void execute(QmpCommand command, Callback callback, Duration bound = 30s);
    void execute(std::string name, Json arguments, Callback callback, Duration bound = 30s);

    QmpProtocol::State state() const { return protocol_.state(); }
    std::size_t pending() const { return protocol_.pending(); }

  private:
    struct Pending {
        std::string name;
        Callback callback;
        std::unique_ptr<Timer> bound;
    };
    struct Chunk {
        std::string bytes;
        int descriptor;
    };

    void connect();
    void on_ready(Loop::Ready ready);
    // False: nothing more to read now, or the connection is gone.
    bool read_some();
    void write_some();
    void schedule_dispatch();
    void dispatch();
    void handle(QmpAction action);
    void fail_with(Error reason);

    Loop& loop_;
    std::string path_;
    Handlers handlers_;
    Options options_;
    QmpProtocol protocol_;
    int socket_ = -1;
    std::unique_ptr<Watch> watch_;
    std::unique_ptr<Timer> retry_;
    std::unique_ptr<Timer> connect_timer_;
    std::map<std::uint64_t, Pending> pending_;
    std::deque<Chunk> output_;
    bool dispatch_scheduled_ = false;
    // Expires with this object: what a callback or a posted task checks before it goes on.
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace segue
