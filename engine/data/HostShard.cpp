#include "engine/data/HostShard.h"

#include <cstring>
#include <utility>

namespace lockstep {

HostShard::HostShard(std::shared_ptr<const Dataset> own, HostsData all) : own_(std::move(own)), all_(std::move(all)) {
  if (!own_) return;
  for (std::size_t i = 0; i < all_.spec.fields.size(); ++i) {
    all_.spec.fields[i].large = own_->spec().fields[i].large;
    all_.spec.fields[i].origin = own_->spec().fields[i].origin;
  }
}

std::int64_t HostShard::readable() const {
  if (own_) return own_->readable();
  return static_cast<std::int64_t>(all_.specimens.at(0).size() / all_.spec.fields.at(0).bytes());
}

std::string HostShard::place(std::size_t field, std::int64_t sample) const {
  return own_ ? own_->place(field, sample) : "a sample of another host";
}

void HostShard::read(std::span<const std::int64_t> samples, std::span<std::byte* const> fields) const {
  if (own_) return own_->read(samples, fields);
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if (fields[i] == nullptr) continue;
    const std::size_t bytes = all_.spec.fields[i].bytes();
    for (std::size_t j = 0; j < samples.size(); ++j) {
      std::memcpy(fields[i] + j * bytes, all_.specimens[i].data() + static_cast<std::size_t>(samples[j]) * bytes,
                  bytes);
    }
  }
}

void HostShard::read_varied(std::span<const std::int64_t> samples, std::span<std::byte* const> fields,
                            const Draw& draw) const {
  own_ ? own_->read_varied(samples, fields, draw) : read(samples, fields);
}

}  // namespace lockstep
