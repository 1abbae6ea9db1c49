#include "engine/data/records/TfRecord.h"

#include <string>

#include "common/Crc32c.h"
#include "common/Error.h"
#include "common/Text.h"
#include "engine/files/NumberAt.h"

namespace lockstep {

std::optional<std::uint64_t> tf_record_length(std::span<const std::byte> header) {
  if (header.size() < kTfRecordHeader) return std::nullopt;
  const auto length = header.first(sizeof(std::uint64_t));
  if (number_at<std::uint32_t>(header.data() + length.size()) != masked_crc32c(length)) return std::nullopt;
  return number_at<std::uint64_t>(length.data());
}

std::string_view tf_record_data(std::string_view record) {
  const auto bytes = std::as_bytes(std::span(record));
  const auto length = tf_record_length(bytes);
  constexpr std::size_t kFrame = kTfRecordHeader + kTfRecordTrailer;
  if (!length || bytes.size() < kFrame || *length != bytes.size() - kFrame) {
    throw InputError("the file has changed since its records were counted");
  }
  const auto data = bytes.subspan(kTfRecordHeader, *length);
  const std::uint32_t computed = masked_crc32c(data);
  if (const auto stored = number_at<std::uint32_t>(bytes.data() + kTfRecordHeader + *length); stored != computed) {
    throw InputError("the checksum of its data is " + format("%08x", stored) + ", and that of what is there " +
                     format("%08x", computed) + ": the file is damaged; copy or write it again");
  }
  return record.substr(kTfRecordHeader, *length);
}

}  // namespace lockstep
