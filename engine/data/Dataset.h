// Samples that can be read in any order by several threads at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/data/BadRecord.h"
#include "engine/data/Draw.h"
#include "engine/data/Field.h"
#include "engine/data/Shards.h"

namespace lockstep {

/// Samples as they are stored. `ProgramSamples` joins them to a program: which field is which input, and in which type.
class Dataset {
 public:
  virtual ~Dataset() = default;

  virtual std::int64_t size() const = 0;
  /// How many can be read: more than `size` where these are there to try a program on, and are no samples of this rank.
  virtual std::int64_t readable() const { return size(); }
  /// Who has which samples, where each host has its own; null: every rank has all.
  virtual const Shards* shards() const { return nullptr; }
  virtual const SampleSpec& spec() const = 0;
  /// Identifies the content: ranks compare it at start.
  virtual std::string digest() const = 0;
  /// Where a field of a sample lies, for messages.
  virtual std::string place(std::size_t field, std::int64_t /*sample*/) const { return spec().fields[field].origin; }
  /// What whoever trains on it should know of how it was read; "" when there is nothing.
  virtual std::string note() const { return ""; }
  /// The samples that cannot be read, in ascending order, where opening has looked at every one; nothing where it has
  /// not: find_bad_records does. Opening accepts such only where it may (ChannelOptions::most_bad).
  virtual std::optional<std::vector<BadRecord>> bad_records() const { return std::vector<BadRecord>(); }
  /// Writes each field of `samples` as stored, one sample after another, into the memory in its place of `fields`;
  /// nullptr stands for a field that is not wanted. Thread-safe.
  virtual void read(std::span<const std::int64_t> samples, std::span<std::byte* const> fields) const = 0;
  /// The same of samples that are varied at random, for data sets that do so: `draw` and the number of a sample are all
  /// that its variation follows from.
  virtual void read_varied(std::span<const std::int64_t> samples, std::span<std::byte* const> fields,
                           const Draw& /*draw*/) const {
    read(samples, fields);
  }
  /// Whether samples are cut out of something larger, as ImageCrop says.
  virtual bool crops() const { return false; }
};

}  // namespace lockstep
