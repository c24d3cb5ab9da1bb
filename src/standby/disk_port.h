// SPDX-License-Identifier: LGPL-2.1-or-later
// The NBD sockets around a disk's epochs: the primary's, and the promoted VM's to the same export.
#pragma once

#include <map>
#include <memory>
#include <optional>

#include "net/connection.h"
#include "net/listen.h"
#include "net/tls.h"
#include "protect/disk_epochs.h"
#include "protect/nbd.h"
#include "standby/worker.h"

namespace segue::standby {

class DiskPort {
  public:
    // Without `primary` nobody but the VM connects: an agent writes through disk().
    static Result<std::unique_ptr<DiskPort>> make(Loop& loop, Worker& worker,
                                                  std::unique_ptr<DiskEpochs> disk,
                                                  const std::optional<net::Address>& primary,
                                                  const std::string& vm,
                                                  std::shared_ptr<net::TlsContext> tls);

    DiskEpochs& disk() { return *disk_; }
    // Cuts the primary off for good; the VM may write from now on.
    void serve_vm();
    // Where the primary's clients connect; empty after serve_vm().
    std::string address() const;

    static constexpr std::size_t kMaxPeers = 16;
    // Answers on their way; beyond, a client is not read until they have left.
    static constexpr std::size_t kMaxWaiting = nbd::kMaxTransfer;

  private:
    struct Peer {
        std::unique_ptr<net::Connection> connection;
        nbd::Server server;
        bool is_vm = false;
        std::unique_ptr<net::ByteFilter> tls;
    };

    DiskPort(Loop& loop, Worker& worker, std::unique_ptr<DiskEpochs> disk,
             std::shared_ptr<net::TlsContext> tls);
    void accept(net::Descriptor socket, bool is_vm);
    void on_input(std::uint64_t id, ByteView bytes);
    void on_drained(std::uint64_t id);
    static void judge(Peer& peer, const Result<>& done);
    Result<> read(std::uint64_t id, Peer& peer, ByteView bytes);
    static void send(Peer& peer, Bytes bytes);
    void handle(std::uint64_t id, Peer& peer, const nbd::Request& request, Bytes& out);
    nbd::Errno execute(const nbd::Request& request, Bytes& data);
    void reply_after_flush(std::uint64_t id, std::uint64_t cookie);

    Loop& loop_;
    Worker& worker_;
    std::unique_ptr<DiskEpochs> disk_;
    std::shared_ptr<net::TlsContext> tls_;
    bool serves_vm_ = false;
    std::unique_ptr<net::Listener> primary_listener_;
    std::unique_ptr<net::Listener> vm_listener_;
    std::map<std::uint64_t, Peer> peers_;
    std::uint64_t next_id_ = 0;
};

}  // namespace segue::standby
