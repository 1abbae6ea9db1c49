#include "engine/data/records/RecordIo.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "common/Error.h"
#include "engine/files/NumberAt.h"

namespace lockstep {

std::optional<RecordIoHeader> recordio_header(std::span<const std::byte> bytes) {
  if (bytes.size() < RecordIoHeader::kBytes) return std::nullopt;
  if (std::memcmp(bytes.data(), kRecordIoMagic.data(), kRecordIoMagic.size()) != 0) return std::nullopt;
  const auto word = number_at<std::uint32_t>(bytes.data() + kRecordIoMagic.size());
  if (word >> 29U > 3) return std::nullopt;
  return RecordIoHeader{.part = static_cast<RecordIoHeader::Part>(word >> 29U), .length = word & 0x1FFFFFFFU};
}

std::string_view recordio_data(std::string_view record) {
  thread_local std::string joined;
  joined.clear();
  for (bool first = true; const auto header = recordio_header(std::as_bytes(std::span(record))); first = false) {
    record.remove_prefix(RecordIoHeader::kBytes);
    if (header->begins() != first || header->padded() > record.size()) break;
    const std::string_view data = record.substr(0, header->length);
    record.remove_prefix(header->padded());
    if (header->ends() && !record.empty()) break;
    if (header->part == RecordIoHeader::Part::kWhole) return data;
    if (!first) joined += kRecordIoMagic;
    joined += data;
    if (header->ends()) return joined;
  }
  throw InputError("the file has changed since its records were counted");
}

}  // namespace lockstep
