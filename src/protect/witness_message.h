// SPDX-License-Identifier: LGPL-2.1-or-later
// The datagrams between a side of a protection and its witness: written and read, without the proof
// of the key that stands behind them.
#pragma once

#include "base/bytes.h"
#include "base/result.h"
#include "protect/lease.h"

namespace segue {

inline constexpr std::size_t kWitnessQuestionSize = 40;
inline constexpr std::size_t kWitnessAnswerSize = 36;

Bytes witness_question(const LeaseId& id, LeaseTable::Side side,
                       const LeaseClient::Question& question);
Bytes witness_answer(const LeaseId& id, LeaseTable::Verdict verdict, std::uint64_t number);

// Errors (protocol): another size, magic or version, or a word that is not known.
Result<protect::witness::Question> read_witness_question(ByteView bytes);
Result<protect::witness::Answer> read_witness_answer(ByteView bytes);

}  // namespace segue
