// SPDX-License-Identifier: LGPL-2.1-or-later
#include "base/check.h"
#include "protect/witness_message.h"

// What is read is written back as it came.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace segue;
    const ByteView bytes(data, size);
    if (const auto question = read_witness_question(bytes)) {
        const Bytes again =
            witness_question(question->id, question->side, {question->wish, question->number});
        ENSURE(again == Bytes(bytes.begin(), bytes.end()));
    }
    if (const auto answer = read_witness_answer(bytes)) {
        const Bytes again = witness_answer(answer->id, answer->verdict, answer->number);
        ENSURE(again == Bytes(bytes.begin(), bytes.end()));
    }
    return 0;
}
