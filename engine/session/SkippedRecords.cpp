#include "engine/session/SkippedRecords.h"

#include <algorithm>
#include <cstddef>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/data/BadRecords.h"
#include "engine/data/KeptSamples.h"
#include "engine/session/SetUpPhase.h"

namespace lockstep {

namespace {

using nlohmann::json;

constexpr std::size_t kMostTold = 3;

// Of this rank's share of the samples, `number` of `ranks` that have the same.
std::vector<BadRecord> find_in_share(const Dataset& own, const BadRecordSearch& search, int number, int ranks) {
  if (auto known = own.bad_records()) return number == 0 ? std::move(*known) : std::vector<BadRecord>();
  const Slice mine = Shards(own.size(), ranks).share(number, {0, own.size()});
  return find_bad_records(own, mine, search.most, search.threads);
}

// As bytes: names of files are texts of whatever encoding.
std::string records_text(const std::vector<BadRecord>& records) {
  json list = json::array();
  for (const BadRecord& record : records) list.push_back({record.sample, record.why});
  const auto bytes = json::to_cbor(list);
  return {bytes.begin(), bytes.end()};
}

std::vector<BadRecord> records_of(const std::string& text) {
  std::vector<BadRecord> records;
  for (const json& record : json::from_cbor(text)) records.push_back({.sample = record.at(0), .why = record.at(1)});
  return records;
}

std::string examples(const std::vector<BadRecord>& records) {
  std::vector<std::string> told;
  for (std::size_t i = 0; i < std::min(kMostTold, records.size()); ++i) told.push_back(records[i].why);
  return join(told, "; ") + (records.size() > kMostTold ? "; …" : "");
}

std::string count_text(std::size_t count) { return count == 1 ? "1 record" : std::to_string(count) + " records"; }

}  // namespace

std::shared_ptr<const Dataset> skip_bad_records(std::shared_ptr<const Dataset> own, const BadRecordSearch& search,
                                                const RankContext& context) {
  // Whoever has the same samples as this rank.
  std::vector<int> owners;
  for (const std::string& host : context.host.all_gather(std::to_string(search.sharded ? context.host_number : 0))) {
    owners.push_back(std::stoi(host));
  }
  const auto rank = static_cast<std::size_t>(context.host.rank());
  const auto before = std::ranges::count(owners.begin(), owners.begin() + context.host.rank(), owners[rank]);
  std::vector<BadRecord> found;
  set_up_phase(context.host, [&] {
    const auto ranks = std::ranges::count(owners, owners[rank]);
    if (own) found = find_in_share(*own, search, static_cast<int>(before), static_cast<int>(ranks));
  });
  const std::vector<std::string> lists = context.host.all_gather(records_text(found));
  std::vector<BadRecord> all;
  std::vector<BadRecord> here;
  for (std::size_t i = 0; i < lists.size(); ++i) {
    const std::vector<BadRecord> list = records_of(lists[i]);  // shares follow each other
    std::ranges::copy(list, std::back_inserter(all));
    if (owners[i] == owners[rank]) std::ranges::copy(list, std::back_inserter(here));
  }
  if (std::ssize(all) > search.most) {
    throw CollectiveError(kExitBadInput, "channel " + search.channel + ": at least " + count_text(all.size()) +
                                             " cannot be read, and skip_bad_records lets " +
                                             std::to_string(search.most) + " be left out: " + examples(all));
  }
  set_up_phase(context.host, [&] {
    if (here.empty()) return;
    if (std::ssize(here) == own->size()) {
      throw InputError("channel " + search.channel + ": no record can be read: " + examples(here));
    }
    std::vector<std::int64_t> numbers;
    for (const BadRecord& record : here) numbers.push_back(record.sample);
    own = std::make_shared<KeptSamples>(
        own, numbers, count_text(here.size()) + " left out, as skip_bad_records says: " + examples(here));
  });
  return own;
}

}  // namespace lockstep
