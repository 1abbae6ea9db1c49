// One host's part of a data set of which each host has its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/data/Dataset.h"

namespace lockstep {

/// What all hosts have in common of a data set.
struct HostsData {
  SampleSpec spec;  ///< common_fields
  Shards shards;
  std::string digest;  ///< of all hosts' samples
  std::string note{};
  bool crops = false;  ///< Dataset::crops
  /// By field: the first samples of some host, for hosts that have none.
  std::vector<std::vector<std::byte>> specimens{};
};

/// The samples of this host, which are counted from 0 on each. A host without samples can read a few of another's, so
/// that a program can be tried out on it; its size is 0.
class HostShard : public Dataset {
 public:
  /// `own`: this host's samples, whose fields are those of `all`; null for a host that has none.
  HostShard(std::shared_ptr<const Dataset> own, HostsData all);

  std::int64_t size() const override { return own_ ? own_->size() : 0; }
  std::int64_t readable() const override;
  const Shards* shards() const override { return &all_.shards; }
  const SampleSpec& spec() const override { return all_.spec; }
  std::string digest() const override { return all_.digest; }
  std::string place(std::size_t field, std::int64_t sample) const override;
  std::string note() const override { return all_.note; }
  void read(std::span<const std::int64_t> samples, std::span<std::byte* const> fields) const override;
  void read_varied(std::span<const std::int64_t> samples, std::span<std::byte* const> fields,
                   const Draw& draw) const override;
  bool crops() const override { return all_.crops; }

 private:
  std::shared_ptr<const Dataset> own_;
  HostsData all_;
};

}  // namespace lockstep
