// SPDX-License-Identifier: LGPL-2.1-or-later
// Peer-to-peer: this daemon is the client of a migration. migrate::Driver says which call comes
// next; calls on this host go to conduct/managed, those on the destination over RPC.
#pragma once

#include <memory>

#include "daemon/conduct/managed.h"
#include "migrate/driver.h"
#include "rpc/client.h"

namespace segue {

class PeerToPeer : public std::enable_shared_from_this<PeerToPeer> {
  public:
    // Connects to `uri`, drives everything, and answers once, with the outcome a user is to see.
    static void start(const Services& services, const MigrateCall& call, const std::string& uri,
                      Answer<> answer);

    PeerToPeer(const Services& services, MigrateCall call, Answer<> answer);

  private:
    using Parameters = std::vector<rpc::remote::TypedParameter>;

    void connect(const std::string& uri);
    void ask_feature(std::int32_t feature, Answer<bool> answer);
    void choose_protocol();
    void begin_driving(migrate::Protocol protocol, bool with_parameters);
    void step(migrate::DriverEvent event, std::optional<Error> error = std::nullopt);
    void make(migrate::DriverVerb verb);
    void call_begin();
    void call_prepare();
    void call_prepare_tunnel();
    void call_perform();
    void call_finish(bool cancelled);
    void call_confirm(bool cancelled);
    void prepared(Result<PrepareResult> result);
    void finished(Result<FinishReply> result);
    void fail_with(const Error& error);
    void connection_lost(const Error& error);
    Parameters parameters_for_destination() const;
    std::uint32_t destination_flags() const;

    const Services& services_;
    MigrateCall call_;
    Answer<> answer_;
    std::unique_ptr<rpc::Client> client_;
    std::optional<migrate::Driver> driver_;
    bool with_parameters_ = true;
    bool performing_ = false;
    BeginResult begun_;
    Bytes cookie_;
    std::string uri_;
    std::shared_ptr<rpc::Stream> tunnel_;  // from Prepare to Perform
};

}  // namespace segue
