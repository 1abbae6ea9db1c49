#include "engine/data/records/RecordIo.h"

#include <span>
#include <string>

#include "common/Error.h"

namespace lockstep {

std::uint64_t recordio_length(HeaderWindow& headers, std::uint64_t offset) {
  for (std::uint64_t length = 0;;) {
    const auto bytes = headers.at(offset + length, RecordIoHeader::kBytes);
    if (bytes.size() < RecordIoHeader::kBytes) {
      throw InputError("the file ends at byte " + std::to_string(offset + length + bytes.size()) +
                       ", in its header: it is truncated, or bytes follow the last record");
    }
    const auto header = recordio_header(bytes);
    if (!header || header->begins() != (length == 0)) {
      throw InputError("no RecordIO header is at byte " + std::to_string(offset + length) + ": the file is damaged");
    }
    length += RecordIoHeader::kBytes + header->padded();
    if (header->ends()) return length;
  }
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
