#include "engine/data/records/SageMakerForm.h"

#include <optional>
#include <string>

#include "common/Error.h"
#include "engine/data/Columns.h"
#include "engine/data/protobuf/Messages.h"
#include "engine/data/protobuf/WireReader.h"
#include "engine/data/records/MxnetImage.h"
#include "engine/data/records/RecordIo.h"

namespace lockstep {

namespace {

constexpr std::string_view kTensorValues = "values";

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

}  // namespace

std::uint64_t SageMakerForm::length(HeaderWindow& headers, std::uint64_t offset) const {
  return recordio_length(headers, offset);
}

void SageMakerForm::visit(std::string_view record, const std::function<void(const RecordValue&)>& visit) const {
  const std::string_view data = recordio_data(record);
  if (begins_mxnet_image(data)) {
    throw InputError("it holds an image, as MXNet packs them, and not SageMaker's protobuf, as the first record does");
  }
  for (WireReader reader(data); reader.next();) {
    if (reader.field() != 1 && reader.field() != 2) continue;
    const MapEntry entry = read_map_entry(reader.bytes());
    const OneOf value = read_one_of(entry.value);
    const auto type = type_of(value.field);
    if (!type) continue;
    const char* const role = reader.field() == 1 ? kFeaturesField : kTargetColumn;
    visit({.name = entry.key == kTensorValues ? role : entry.key,
           .type = *type,
           .list = value.value,
           .tensor = *type != ElementType::kUint8});
  }
}

}  // namespace lockstep
