#include "engine/data/records/ExampleForm.h"

#include <limits>
#include <optional>
#include <string>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/data/protobuf/Messages.h"
#include "engine/data/protobuf/WireReader.h"
#include "engine/data/records/TfRecord.h"

namespace lockstep {

namespace {

std::optional<ElementType> type_of(std::uint32_t list) {
  switch (list) {
    case 1:
      return ElementType::kUint8;
    case 2:
      return ElementType::kFloat;
    case 3:
      return ElementType::kInt64;
    default:
      return std::nullopt;  // a feature without values
  }
}

}  // namespace

std::uint64_t ExampleForm::length(HeaderWindow& headers, std::uint64_t offset) const {
  constexpr std::uint64_t kMost = std::numeric_limits<std::int32_t>::max();  // of a protobuf message
  const auto header = headers.at(offset, kTfRecordHeader);
  if (header.size() < kTfRecordHeader) {
    throw InputError("the file ends in its header, after " + std::to_string(header.size()) + " of " +
                     std::to_string(kTfRecordHeader) + " bytes: it is truncated, or bytes follow the last record");
  }
  const auto data = tf_record_length(header);
  if (!data) {
    throw InputError("the checksum of its length does not fit: the file is damaged, or no TFRecord file");
  }
  if (*data > kMost) {
    throw InputError("its length is " + std::to_string(*data) + "; a tf.train.Example has at most " +
                     std::to_string(kMost) + " bytes");
  }
  return kTfRecordHeader + *data + kTfRecordTrailer;
}

void ExampleForm::visit(std::string_view record, const std::function<void(const RecordValue&)>& visit) const {
  for (WireReader example(tf_record_data(record)); example.next();) {
    if (example.field() != 1) continue;
    for (WireReader features(example.bytes()); features.next();) {
      if (features.field() != 1) continue;
      const MapEntry entry = read_map_entry(features.bytes());
      const OneOf list = read_one_of(entry.value);
      if (const auto type = type_of(list.field)) visit({.name = entry.key, .type = *type, .list = list.value});
    }
  }
}

}  // namespace lockstep
