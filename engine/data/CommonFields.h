// What the samples of several hosts have in common.
#pragma once

#include <string>
#include <vector>

#include "engine/data/Field.h"

namespace lockstep {

/// The fields of the samples that a host has.
struct HostFields {
  std::string host;  ///< its name, for messages
  SampleSpec spec;
};

/// The fields that all hosts' samples can have: the same names and sizes; of a real type where one host has real
/// numbers, and of the wider one where types differ otherwise; where categories differ,
/// all that any of them has, in the order of their texts; the largest bound where all have one. Without those that are
/// absent everywhere. Nothing is said of where they lie. Throws InputError, naming two hosts, when names or sizes
/// differ, or when one has categories where another has numbers. At least one host.
SampleSpec common_fields(const std::vector<HostFields>& hosts);

/// Whether samples of the two mean the same: names, types, sizes and categories.
bool same_fields(const SampleSpec& a, const SampleSpec& b);

}  // namespace lockstep
