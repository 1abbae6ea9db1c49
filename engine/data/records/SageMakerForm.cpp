#include "engine/data/records/SageMakerForm.h"

#include <algorithm>
#include <optional>
#include <string>

#include "common/Error.h"
#include "engine/data/Columns.h"
#include "engine/data/protobuf/Messages.h"
#include "engine/data/protobuf/WireReader.h"
#include "engine/data/records/ImageMagic.h"
#include "engine/data/records/RecordIo.h"
#include "engine/files/NumberAt.h"

namespace lockstep {

namespace {

constexpr std::string_view kValues = "values";

std::optional<ElementType> type_of(std::uint32_t value) {
  switch (value) {
    case 2:
      return ElementType::kFloat;
    case 3:
      return ElementType::kDouble;
    case 7:
      return ElementType::kInt32;
    case 9:
      return ElementType::kUint8;
    default:
      return std::nullopt;
  }
}

// MXNet's im2rec puts a header before an image (IRHeader of mxnet/recordio.py): a count of labels, which follow it when
// there are several, one label, and two numbers of 8 bytes.
bool is_mxnet_image(std::string_view data) {
  constexpr std::size_t kHeader = 24;
  if (data.size() < kHeader) return false;
  const std::uint64_t image = kHeader + std::uint64_t{number_at<std::uint32_t>(data.data())} * sizeof(float);
  return image < data.size() && begins_image(data.substr(image));
}

}  // namespace

std::uint64_t SageMakerForm::length(HeaderWindow& headers, std::uint64_t offset) const {
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

void SageMakerForm::visit(std::string_view record, const std::function<void(const RecordValue&)>& visit) const {
  const std::string_view data = recordio_data(record);
  if (is_mxnet_image(data)) {
    throw InputError("it holds an image, as MXNet packs them; RecordIO is read where it holds SageMaker's protobuf");
  }
  for (WireReader reader(data); reader.next();) {
    if (reader.field() != 1 && reader.field() != 2) continue;
    const MapEntry entry = read_map_entry(reader.bytes());
    const OneOf value = read_one_of(entry.value);
    const auto type = type_of(value.field);
    if (!type) continue;
    const char* const role = reader.field() == 1 ? kFeaturesField : kTargetColumn;
    visit({.name = entry.key == kValues ? role : entry.key,
           .type = *type,
           .list = value.value,
           .tensor = *type != ElementType::kUint8});
  }
}

}  // namespace lockstep
