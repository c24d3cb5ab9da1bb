// SPDX-License-Identifier: LGPL-2.1-or-later
// One side's questions to an etcd cluster.
#pragma once

#include "standby/witness_line.h"

namespace segue::standby {

std::unique_ptr<WitnessLine> make_etcd_line(Loop& loop, const arbiter::EtcdCluster& cluster,
                                            const LeaseId& id, LeaseTable::Side side,
                                            WitnessLine::Handlers handlers);

}  // namespace segue::standby
