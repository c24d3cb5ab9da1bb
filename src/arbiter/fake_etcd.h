// SPDX-License-Identifier: LGPL-2.1-or-later
// For tests: what etcd makes of a transaction, as its gateway answers it.
#pragma once

#include <map>
#include <string>

#include "base/json.h"

namespace segue::arbiter {

class FakeEtcd {
  public:
    Json transact(const Json& request) {
        bool holds = true;
        for (const Json& one : request["compare"].items())
            holds = holds && compare(one);
        Json responses = Json::array();
        changed_ = false;
        for (const Json& operation : request[holds ? "success" : "failure"].items())
            responses.push(run(operation));
        revision_ += changed_ ? 1 : 0;
        Json answer =
            Json::object({{"header", Json::object({{"revision", std::to_string(revision_)}})}});
        // False is not written, and neither is an empty list.
        if (holds) answer.set("succeeded", true);
        if (!responses.items().empty()) answer.set("responses", responses);
        return answer;
    }
    std::size_t keys() const { return pairs_.size(); }

  private:
    struct Pair {
        std::string value;
        std::uint64_t revision = 0;
    };

    bool compare(const Json& one) const {
        const auto found = pairs_.find(std::string(one.text("key")));
        const bool is_there = found != pairs_.end();
        if (one.text("target") == "VERSION") return !is_there && one.text("version") == "0";
        if (!is_there) return false;
        if (one.text("target") == "VALUE") return found->second.value == one.text("value");
        return std::to_string(found->second.revision) == one.text("mod_revision");
    }
    Json run(const Json& operation) {
        if (const Json* put = operation.find("request_put")) {
            pairs_[std::string(put->text("key"))] = {std::string(put->text("value")),
                                                     revision_ + 1};
            changed_ = true;
            return Json::object({{"response_put", Json::object()}});
        }
        if (const Json* erase = operation.find("request_delete_range")) {
            changed_ = pairs_.erase(std::string(erase->text("key"))) > 0 || changed_;
            return Json::object({{"response_delete_range", Json::object()}});
        }
        const std::string key(operation["request_range"].text("key"));
        Json range = Json::object();
        if (const auto found = pairs_.find(key); found != pairs_.end()) {
            Json pair = Json::object(
                {{"key", key}, {"mod_revision", std::to_string(found->second.revision)}});
            if (!found->second.value.empty()) pair.set("value", found->second.value);
            range.set("kvs", Json::array({pair}));
        }
        return Json::object({{"response_range", range}});
    }

    std::map<std::string, Pair> pairs_;
    std::uint64_t revision_ = 1;
    bool changed_ = false;
};

}  // namespace segue::arbiter
