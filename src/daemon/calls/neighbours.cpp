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
}

}  // namespace segue
