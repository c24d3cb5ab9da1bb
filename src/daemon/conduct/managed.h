// SPDX-License-Identifier: LGPL-2.1-or-later
// The five steps of a migration as a client calls them, whichever protocol it speaks: checks before
// anything starts, and then the conduct of this side.
#pragma once

#include "daemon/answer.h"
#include "daemon/conduct/request.h"
#include "daemon/domain_object.h"
#include "daemon/services.h"
#include "rpc/session.h"

namespace segue {

struct BeginResult {
    Bytes cookie;
    std::string xml;
};
struct MigrateCall {
    rpc::DomainRef domain;
    migrate::MigrateOptions options;
    migrate::Protocol protocol = migrate::Protocol::version3;
    Bytes cookie;
    std::string uri;
    // Perform, tunnelled: the stream that Prepare opened.
    std::shared_ptr<rpc::Stream> tunnel;
    // Peer-to-peer: the client that wants this migration.
    std::weak_ptr<rpc::Session> client;
    // Confirm that cancels, of our own driver: what failed.
    std::optional<Error> cause;
};

// Each `session` is the one whose end means that the client is gone; null in peer-to-peer.
void begin_migration(const Services& services, rpc::Session* session, const MigrateCall& call,
                     Answer<BeginResult> answer);
void prepare_migration(const Services& services, rpc::Session* session, const MigrateCall& call,
                       const std::string& xml, Answer<PrepareResult> answer);
void perform_migration(const Services& services, rpc::Session* session, const MigrateCall& call,
                       Answer<Bytes> answer);
// `name` is the domain's name on this host.
struct FinishReply {
    rpc::DomainRef domain;
    Bytes cookie;
};
void finish_migration(const Services& services, const std::string& name, const MigrateCall& call,
                      bool cancelled, Answer<FinishReply> answer);
void confirm_migration(const Services& services, const MigrateCall& call, bool cancelled,
                       Answer<> answer);

// The first thing that speaks against moving this domain, with libvirt's code (qemu_migration.c,
// qemuMigrationSrcIsAllowed and …IsSafe); nothing when it may go.
Result<> check_movable(const DomainObject& domain, const migrate::MigrateOptions& options);

}  // namespace segue
