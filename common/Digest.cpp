#include "common/Digest.h"

#include <cstring>

#include "common/Text.h"

namespace lockstep {

void Digest::update(std::span<const std::byte> bytes) {
  const auto mix = [this](std::uint64_t word) {
    state_ = (state_ ^ word) * 0x100000001b3;
    state_ ^= state_ >> 32;
  };
  mix(bytes.size());
  for (; bytes.size() >= sizeof(std::uint64_t); bytes = bytes.subspan(sizeof(std::uint64_t))) {
    std::uint64_t word;
    std::memcpy(&word, bytes.data(), sizeof word);
    mix(word);
  }
  std::uint64_t tail = 0;
  if (!bytes.empty()) std::memcpy(&tail, bytes.data(), bytes.size());
  mix(tail);
}

std::string Digest::hex() const { return format("%016llx", static_cast<unsigned long long>(state_)); }

}  // namespace lockstep
