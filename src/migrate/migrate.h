// SPDX-License-Identifier: LGPL-2.1-or-later
// The migration engine: everything that is decided, and nothing that is done. No sockets, no
// threads, no clock.
//
// How a daemon drives it
//
//   1. A call comes in (Begin or Perform on the source, Prepare on the destination). Check flags
//   and
//      parameters with options.h, the cookie with cookie.h; start the asynchronous job in the
//      domain's DomainJobs (job.h); make a SourceMachine or DestinationMachine and keep it with the
//      domain, under its record().id.
//   2. Feed it: machine.handle({SourceEvent::begin_called}, now). The answer is a list of actions
//   to
//      carry out in that order, or the named error of a command that does not fit: send that error
//      back, nothing has changed.
//   3. Each action's comment (SourceVerb, DestinationVerb) says which event reports its end. Feed
//      events one after the other: never call handle() from inside the loop over its actions; queue
//      what happens meanwhile (a synchronous store feeds record_stored through the queue too).
//   4. Whatever happens to the domain's QEMU, the client's connection, the peer link, the timer, is
//      fed as an event, whether it matters or not: the table knows.
//   5. reply_ok and reply_error name the call they answer (action.call). A call whose connection is
//      gone needs no answer: drop it. The source's reply to Perform puts the right into its cookie
//      (Cookie::right) when action.record.right is `given`; the destination's reply to Prepare puts
//      its offer there (Cookie::offer).
//   6. write_record must be durable before record_stored is fed. Convert with to_row() to
//      storage::MigrationRecord. Nothing later in the same list of actions depends on it, except on
//      the destination's last one ("settled"), which may be lost without harm.
//   7. At start, for each stored record: SourceMachine::restored(record, guest_alive) or
//      DestinationMachine::restored(…), then feed `restarted`. Records of the destination that are
//      `promised` or `running` keep their machine only to answer the source's question.
//   8. Several machines of one domain may exist beside each other (an old promise, and a migration
//      back): they differ in id and incarnation; at most one holds the domain's job.
//
// The right to run: a guest runs only on the host that holds its right. The source stores given(id)
// before the right leaves it; the destination stores taken(id) before it resumes the guest, or
// refused(id) before it promises never to; the source resumes after given(id) only on that promise.
// docs/migration.md has the tables.
#pragma once

#include "migrate/destination.h"
#include "migrate/driver.h"
#include "migrate/job.h"
#include "migrate/phase.h"
#include "migrate/record.h"
#include "migrate/source.h"
#include "migrate/timeline.h"
