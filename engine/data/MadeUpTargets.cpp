#include "engine/data/MadeUpTargets.h"

#include <algorithm>

namespace lockstep {

MadeUpTargets::MadeUpTargets(std::shared_ptr<const Dataset> own) : own_(std::move(own)), spec_(own_->spec()) {
  spec_.fields.push_back({.name = kField, .type = ElementType::kInt64, .bound = 1});
}

std::string MadeUpTargets::place(std::size_t field, std::int64_t sample) const {
  return field + 1 < spec_.fields.size() ? own_->place(field, sample) : kField;
}

void MadeUpTargets::read(std::span<const std::int64_t> samples, std::span<std::byte* const> fields) const {
  own_->read(samples, fields.first(fields.size() - 1));
  if (fields.back() != nullptr) std::fill_n(fields.back(), samples.size() * sizeof(std::int64_t), std::byte{0});
}

}  // namespace lockstep
