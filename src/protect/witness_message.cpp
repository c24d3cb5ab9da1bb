// SPDX-License-Identifier: LGPL-2.1-or-later
#include "protect/witness_message.h"

#include "rpc/xdr.h"

namespace segue {
namespace {

namespace wire = protect::witness;

template <class Body>
Bytes written(const Body& body) {
    Bytes out;
    rpc::XdrWriter writer(out);
    wire::write(writer, body);
    return out;
}

template <class Body>
Result<Body> read_whole(ByteView bytes, std::size_t size, std::uint64_t magic,
                        std::string_view name) {
    if (bytes.size() != size) {
        return fail(ErrorCode::protocol, "witness: a '{}' of {} bytes (it has {})", name,
                    bytes.size(), size);
    }
    rpc::XdrReader reader(bytes);
    Body body;
    wire::read(reader, body);
    TRY(reader.finish(name));
    if (body.magic != magic || body.spoken != wire::kVersion) {
        return fail(ErrorCode::protocol,
                    "witness: a '{}' of another kind or version: install the same release on all "
                    "hosts",
                    name);
    }
    return body;
}

}  // namespace

Bytes witness_question(const LeaseId& id, LeaseTable::Side side,
                       const LeaseClient::Question& question) {
    return written(wire::Question{wire::kQuestionMagic, wire::kVersion, id, side, question.wish,
                                  question.number});
}

Bytes witness_answer(const LeaseId& id, LeaseTable::Verdict verdict, std::uint64_t number) {
    return written(wire::Answer{wire::kAnswerMagic, wire::kVersion, id, verdict, number});
}

Result<wire::Question> read_witness_question(ByteView bytes) {
    return read_whole<wire::Question>(bytes, kWitnessQuestionSize, wire::kQuestionMagic,
                                      "question");
}

Result<wire::Answer> read_witness_answer(ByteView bytes) {
    return read_whole<wire::Answer>(bytes, kWitnessAnswerSize, wire::kAnswerMagic, "answer");
}

}  // namespace segue
