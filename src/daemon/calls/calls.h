// SPDX-License-Identifier: LGPL-2.1-or-later
// The handlers of libvirt's procedures, one file for each kind: they read a call, do what it says
// or hand it to life.h and conduct/, and answer.
#pragma once

#include "daemon/domain_list.h"
#include "daemon/services.h"
#include "rpc/dispatcher.h"

namespace segue {

void add_connection_calls(rpc::Dispatcher& calls, const Services& services);
void add_list_calls(rpc::Dispatcher& calls, const Services& services);
void add_define_calls(rpc::Dispatcher& calls, const Services& services);
void add_device_calls(rpc::Dispatcher& calls, const Services& services);
void add_life_calls(rpc::Dispatcher& calls, const Services& services);
void add_query_calls(rpc::Dispatcher& calls, const Services& services);
void add_metadata_calls(rpc::Dispatcher& calls, const Services& services);
void add_statistics_calls(rpc::Dispatcher& calls, const Services& services);
void add_all_statistics_calls(rpc::Dispatcher& calls, const Services& services);
void add_job_calls(rpc::Dispatcher& calls, const Services& services);
void add_migrate_calls(rpc::Dispatcher& calls, const Services& services);
void add_tunnel_calls(rpc::Dispatcher& calls, const Services& services);
void add_stream_calls(rpc::Dispatcher& calls, const Services& services);
void add_monitor_calls(rpc::Dispatcher& calls, const Services& services);
void add_extension_calls(rpc::Dispatcher& calls, const Services& services);
void add_neighbour_calls(rpc::Dispatcher& calls);

// What libvirt's feature numbers (libvirt_internal.h) are answered with.
bool has_feature(const Settings& settings, std::int32_t feature);

// Whether the flags of virConnectListAllDomainsFlags choose this domain; those of domstats are the
// same ones.
bool is_chosen(const DomainObject& domain, std::uint32_t flags);

// The definition that flags of virDomainModificationImpact mean (1 the running one, 2 the stored
// one; neither: the one that is in force).
Result<const Domain*> asked_for(const DomainObject& domain, std::uint32_t flags);

// For who wants no definition of which a part would only be kept: error 92
// (VIR_ERR_XML_INVALID_SCHEMA), which names that part.
Result<> check_understood(const Domain& model);
// What is kept and not used, to the log.
void log_unused(const Domain& model);

// Begins a short call of this kind on the domain, and ends it with this object: what is refused
// beside a running job is refused at once, with the reason.
class CallGuard {
  public:
    static Result<std::shared_ptr<CallGuard>> begin(const DomainPointer& domain,
                                                    migrate::CallKind kind, std::string call);
    ~CallGuard();
    CallGuard(DomainPointer domain, migrate::CallKind kind);
    CallGuard(const CallGuard&) = delete;
    CallGuard& operator=(const CallGuard&) = delete;

  private:
    DomainPointer domain_;
    migrate::CallKind kind_;
};

}  // namespace segue
