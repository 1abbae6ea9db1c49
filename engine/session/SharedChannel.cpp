#include "engine/session/SharedChannel.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <utility>
#include <vector>

#include "common/Digest.h"
#include "common/Error.h"
#include "common/Text.h"
#include "engine/data/ColumnFaultJson.h"
#include "engine/data/Columns.h"
#include "engine/data/CommonFields.h"
#include "engine/data/HostShard.h"
#include "engine/session/SetUpPhase.h"
#include "engine/session/SkippedRecords.h"

namespace lockstep {

namespace {

using nlohmann::json;

constexpr std::int64_t kMostSpecimens = 16;
constexpr std::size_t kMostSpecimenBytes = std::size_t{64} << 20;

/// What a rank has of a channel.
struct Report {
  HostFields fields;
  Shards::Holding holding;
  std::string digest;
  bool crops = false;
};

// As bytes: categories are texts of whatever encoding.
std::string encode(const Report& report) {
  json fields = json::array();
  for (const Field& field : report.fields.spec.fields) {
    fields.push_back({field.name, static_cast<int>(field.type), field.sizes, field.bound, field.categories,
                      field.absent, field.row_index});
    if (field.fault) fields.back().push_back(fault_to_json(*field.fault));
  }
  const auto bytes = json::to_cbor({report.fields.host, report.holding.host, report.holding.samples, report.digest,
                                    report.crops, std::move(fields)});
  return {bytes.begin(), bytes.end()};
}

Report decode(const std::string& text) {
  const json values = json::from_cbor(text);
  Report report{.fields = {.host = values.at(0), .spec = {}},
                .holding = {.host = values.at(1), .samples = values.at(2)},
                .digest = values.at(3),
                .crops = values.at(4)};
  for (const json& field : values.at(5)) {
    report.fields.spec.fields.push_back({.name = field.at(0),
                                         .type = static_cast<ElementType>(field.at(1).get<int>()),
                                         .sizes = field.at(2),
                                         .bound = field.at(3),
                                         .categories = field.at(4),
                                         .absent = field.at(5),
                                         .row_index = field.at(6)});
    if (field.size() > 7) report.fields.spec.fields.back().fault = fault_from_json(field.at(7));
  }
  return report;
}

std::vector<Report> gather(const ChannelOpening& opening, const OpenedChannel& own, const RankContext& context) {
  Report report{.fields = {.host = opening.host, .spec = {}}, .holding = {.host = context.host_number}, .digest = ""};
  if (own.dataset) {
    report.holding.samples = own.dataset->size();
    report.digest = own.dataset->digest();
    report.crops = own.dataset->crops();
    // Ranks of a host have the same.
    if (opening.sharded && context.host_number == context.host.rank()) report.fields.spec = own.dataset->spec();
  }
  std::vector<Report> reports;
  for (const std::string& text : context.host.all_gather(encode(report))) reports.push_back(decode(text));
  return reports;
}

std::string samples_text(const Report& report) { return with_commas(report.holding.samples) + " samples"; }

void require_same(const ChannelOpening& opening, const std::vector<Report>& reports) {
  for (std::size_t i = 0; i < reports.size(); ++i) {
    // The first rank of the host, or of all.
    const auto like = std::ranges::find_if(reports, [&](const Report& other) {
      return !opening.sharded || other.holding.host == reports[i].holding.host;
    });
    if (reports[i].digest == like->digest) continue;
    const auto has = [&](std::size_t rank) {
      return "rank " + std::to_string(rank) + " on " + reports[rank].fields.host + " has " +
             samples_text(reports[rank]) + " with the digest " + reports[rank].digest;
    };
    const bool one_host = reports[i].holding.host == like->holding.host;
    throw CollectiveError(
        kExitBadInput,
        "the ranks do not have the same data of channel " + opening.name + ": " +
            has(static_cast<std::size_t>(like - reports.begin())) + ", " + has(i) +
            (one_host ? "; do the files change?"
                      : "; give all hosts the same files (FullyReplicated). If each host is to have files of its own, "
                        "say so: S3DistributionType ShardedByS3Key, or sharded=" +
                            opening.name));
  }
}

/// The first rank of each host.
std::vector<Report> by_host(const std::vector<Report>& reports) {
  std::vector<Report> hosts;
  for (const Report& report : reports) {
    if (std::ranges::none_of(hosts, [&](const Report& host) { return host.holding.host == report.holding.host; })) {
      hosts.push_back(report);
    }
  }
  return hosts;
}

SampleSpec fields_of(const ChannelOpening& opening, const std::vector<Report>& hosts) {
  std::vector<HostFields> with_samples;
  for (const Report& host : hosts) {
    if (host.holding.samples > 0) with_samples.push_back(host.fields);
  }
  const std::string channel = "channel " + opening.name + ", of which each host has files of its own: ";
  if (with_samples.empty()) throw CollectiveError(kExitBadInput, channel + "no host has any");
  try {
    return common_fields(with_samples);
  } catch (const InputError& error) {
    throw CollectiveError(kExitBadInput, channel + error.what());
  }
}

void open_again(const ChannelOpening& opening, const SampleSpec& fields, OpenedChannel& own) {
  if (!own.dataset || same_fields(own.dataset->spec(), fields)) return;
  own = opening.open(&fields);
  if (same_fields(own.dataset->spec(), fields)) return;
  throw InputError("channel " + opening.name + ": other hosts have " + describe(fields) + ", and this host, " +
                   opening.host + ", has " + describe(own.dataset->spec()) +
                   ", which does not become that; write the files of all hosts with the same types and texts");
}

// Of all fields, one after another, as all ranks get them.
std::vector<std::vector<std::byte>> specimens(const std::vector<Report>& reports, const OpenedChannel& own,
                                              const SampleSpec& fields, const RankContext& context) {
  const auto has_some = [](const Report& report) { return report.holding.samples > 0; };
  if (std::ranges::all_of(reports, has_some)) return {};
  const auto root = std::ranges::find_if(reports, has_some);
  std::size_t each = 0;
  for (const Field& field : fields.fields) each += field.bytes();
  const std::int64_t most = std::min(kMostSpecimens, root->holding.samples);
  const std::int64_t count = std::clamp<std::int64_t>(static_cast<std::int64_t>(kMostSpecimenBytes / each), 1, most);
  std::vector<std::vector<std::byte>> memory;
  std::vector<std::byte*> places;
  for (const Field& field : fields.fields) {
    memory.emplace_back(static_cast<std::size_t>(count) * field.bytes());
    places.push_back(memory.back().data());
  }
  const int rank = static_cast<int>(root - reports.begin());
  set_up_phase(context.host, [&] {
    if (context.host.rank() != rank) return;
    std::vector<std::int64_t> samples(static_cast<std::size_t>(count));
    std::iota(samples.begin(), samples.end(), 0);
    own.dataset->read(samples, places);
  });
  for (std::vector<std::byte>& bytes : memory) {
    context.host.broadcast(bytes.data(), bytes.size(), DataType::kByte, rank)->wait();
  }
  return memory;
}

std::string note_of(const std::vector<Report>& hosts, const OpenedChannel& own) {
  constexpr std::size_t kMostNamed = 8;
  std::vector<std::string> parts;
  for (const Report& host : hosts) {
    if (parts.size() < kMostNamed) parts.push_back(host.fields.host + " " + with_commas(host.holding.samples));
  }
  if (hosts.size() > parts.size()) parts.emplace_back("…");
  std::string note = "each host has samples of its own (" + join(parts, ", ") + ")";
  std::map<std::string, std::string> seen;  // digest → host
  for (const Report& host : hosts) {
    if (host.holding.samples == 0) continue;
    const auto [other, first] = seen.emplace(host.digest, host.fields.host);
    if (first) continue;
    note +=
        ". " + other->second + " and " + host.fields.host +
        " have the same: if all hosts have all samples, the channel is not sharded, and each is trained on again and "
        "again";
    break;
  }
  const std::string about = own.dataset ? own.dataset->note() : "";
  return note + (about.empty() ? "" : "; " + about);
}

}  // namespace

OpenedChannel share_channel(const ChannelOpening& opening, const RankContext& context) {
  OpenedChannel own;
  set_up_phase(context.host, [&] { own = opening.open(opening.like); });
  std::vector<Report> reports = gather(opening, own, context);
  require_same(opening, reports);
  const bool sharded = opening.sharded && context.hosts > 1;
  const auto skip_bad = [&] {
    if (opening.most_bad == 0) return;
    const BadRecordSearch search = {
        .channel = opening.name, .most = opening.most_bad, .threads = opening.threads, .sharded = sharded};
    own.dataset = skip_bad_records(own.dataset, search, context);
  };
  if (!sharded) {
    skip_bad();
    return own;
  }
  const SampleSpec fields = fields_of(opening, by_host(reports));
  set_up_phase(context.host, [&] { open_again(opening, fields, own); });
  skip_bad();
  reports = gather(opening, own, context);  // opened again, or with fewer samples, it may have another digest
  require_same(opening, reports);
  const std::vector<Report> hosts = by_host(reports);
  Digest digest;
  std::vector<Shards::Holding> holdings;
  for (const Report& host : hosts) digest.update(std::to_string(host.holding.samples) + " " + host.digest);
  for (const Report& report : reports) holdings.push_back(report.holding);
  own.dataset = std::make_shared<HostShard>(
      own.dataset, HostsData{.spec = fields,
                             .shards = Shards(holdings),
                             .digest = digest.hex() + " on " + std::to_string(hosts.size()) + " hosts",
                             .note = note_of(hosts, own),
                             .crops = std::ranges::any_of(reports, &Report::crops),
                             .specimens = specimens(reports, own, fields, context)});
  return own;
}

}  // namespace lockstep
