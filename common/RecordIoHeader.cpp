#include "common/RecordIoHeader.h"

#include <bit>
#include <cstring>

namespace lockstep {

static_assert(std::endian::native == std::endian::little);

std::optional<RecordIoHeader> recordio_header(std::span<const std::byte> bytes) {
  if (bytes.size() < RecordIoHeader::kBytes) return std::nullopt;
  if (std::memcmp(bytes.data(), kRecordIoMagic.data(), kRecordIoMagic.size()) != 0) return std::nullopt;
  std::uint32_t word = 0;
  std::memcpy(&word, bytes.data() + kRecordIoMagic.size(), sizeof word);
  if (word >> 29U > 3) return std::nullopt;
  return RecordIoHeader{.part = static_cast<RecordIoHeader::Part>(word >> 29U), .length = word & 0x1FFFFFFFU};
}

}  // namespace lockstep
