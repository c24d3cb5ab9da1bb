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

    // Hybrid mode: the sockets of each shadow, and a directory for what it writes.
    Result<> open_seats(const std::vector<std::string>& sockets, const std::string& image,
                        const std::string& directory);
    // The shadow in this seat has what is committed, and writes of its own that nobody else sees.
    Result<> begin_shadow(std::size_t seat);
    // They are thrown away.
    void end_shadow();
    // They count: the shadow is the guest. As serve_vm(), behind discard() of the disk.
    Result<> serve_shadow();
    // What a shadow wrote that had become the guest, before this process.
    static Result<> keep_shadow(const std::string& image, const std::string& directory);
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
        std::optional<std::size_t> seat;  // of a shadow
        std::unique_ptr<net::ByteFilter> tls;
    };

    DiskPort(Loop& loop, Worker& worker, std::unique_ptr<DiskEpochs> disk,
             std::shared_ptr<net::TlsContext> tls);
    void accept(net::Descriptor socket, bool is_vm, std::optional<std::size_t> seat);
    void on_input(std::uint64_t id, ByteView bytes);
    void on_drained(std::uint64_t id);
    static void judge(Peer& peer, const Result<>& done);
    Result<> read(std::uint64_t id, Peer& peer, ByteView bytes);
    static void send(Peer& peer, Bytes bytes);
    void handle(std::uint64_t id, Peer& peer, const nbd::Request& request, Bytes& out);
    static nbd::Errno execute(DiskEpochs& disk, const nbd::Request& request, Bytes& data);
    void reply_after_flush(std::uint64_t id, std::uint64_t cookie);

    Loop& loop_;
    Worker& worker_;
    std::unique_ptr<DiskEpochs> disk_;
    std::shared_ptr<net::TlsContext> tls_;
    bool serves_vm_ = false;
    std::unique_ptr<net::Listener> primary_listener_;
    std::unique_ptr<net::Listener> vm_listener_;
    std::vector<std::unique_ptr<net::Listener>> seat_listeners_;
    std::string image_, shadow_directory_;
    std::unique_ptr<DiskEpochs> shadow_;
    std::optional<std::size_t> shadow_seat_;
    // Whether what it writes must be durable.
    std::shared_ptr<bool> shadow_counts_;
    std::map<std::uint64_t, Peer> peers_;
    std::uint64_t next_id_ = 0;
};

}  // namespace segue::standby
