// SPDX-License-Identifier: LGPL-2.1-or-later
// libvirt's other drivers: this host has no networks, pools, interfaces, secrets or filters of
// libvirt's, and tools that only look around are told so with empty lists, not with errors.
#include "daemon/calls/calls.h"
#include "rpc/neighbours.schema.h"

namespace segue {
namespace {

using namespace rpc::neighbours;

template <class... Counts>
void answer_none(rpc::Dispatcher& calls) {
    (calls.answer<Counts>([](rpc::Session&, const auto&) -> Result<typename Counts::Reply> {
        return typename Counts::Reply{};
    }),
     ...);
}

// virErrorNumber: of libvirt's other drivers.
constexpr auto kNoNetwork = static_cast<ErrorCode>(43);
constexpr auto kNoStoragePool = static_cast<ErrorCode>(49);
constexpr auto kNoStorageVolume = static_cast<ErrorCode>(50);

std::string text_of(const rpc::remote::NameCall& call) {
    return fmt::format("'{}'", call.name);
}
std::string text_of(const rpc::remote::UuidCall& call) {
    return call.uuid.text();
}

template <class... Lookups>
void find_none(rpc::Dispatcher& calls, ErrorCode code, const char* thing) {
    (calls.answer<Lookups>([code, thing](rpc::Session&, const auto& call) -> Result<> {
        return fail(code, "no {} with matching {}: segued has none", thing, text_of(call));
    }),
     ...);
}

}  // namespace

void add_neighbour_calls(rpc::Dispatcher& calls) {
    answer_none<ConnectNumOfNetworks, ConnectListNetworks, ConnectNumOfDefinedNetworks,
                ConnectListDefinedNetworks, ConnectListAllNetworks>(calls);
    answer_none<ConnectNumOfStoragePools, ConnectListStoragePools, ConnectNumOfDefinedStoragePools,
                ConnectListDefinedStoragePools, ConnectListAllStoragePools>(calls);
    answer_none<ConnectNumOfInterfaces, ConnectListInterfaces, ConnectNumOfDefinedInterfaces,
                ConnectListDefinedInterfaces, ConnectListAllInterfaces>(calls);
    answer_none<ConnectNumOfSecrets, ConnectListSecrets, ConnectListAllSecrets>(calls);
    answer_none<ConnectNumOfFilters, ConnectListFilters, ConnectListAllFilters,
                ConnectListAllFilterBindings, ConnectListAllNodeDevices>(calls);
    find_none<NetworkLookupByName, NetworkLookupByUuid>(calls, kNoNetwork, "network");
    find_none<StoragePoolLookupByName, StoragePoolLookupByUuid, StoragePoolLookupByTargetPath>(
        calls, kNoStoragePool, "storage pool");
    find_none<StorageVolumeLookupByKey, StorageVolumeLookupByPath>(calls, kNoStorageVolume,
                                                                   "storage vol");
}

}  // namespace segue
