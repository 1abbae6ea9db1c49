#include "engine/data/columnar/ArrowTypes.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "common/Error.h"
#include "job/Json.h"

namespace lockstep {

namespace {

std::optional<ElementType> element_type(const arrow::DataType& type) {
  switch (type.id()) {
    case arrow::Type::BOOL:
      return ElementType::kBool;
    case arrow::Type::UINT8:
      return ElementType::kUint8;
    case arrow::Type::INT8:
      return ElementType::kInt8;
    case arrow::Type::UINT16:
      return ElementType::kUint16;
    case arrow::Type::INT16:
      return ElementType::kInt16;
    case arrow::Type::UINT32:
      return ElementType::kUint32;
    case arrow::Type::INT32:
      return ElementType::kInt32;
    case arrow::Type::UINT64:
      return ElementType::kUint64;
    case arrow::Type::INT64:
      return ElementType::kInt64;
    case arrow::Type::HALF_FLOAT:
      return ElementType::kHalf;
    case arrow::Type::FLOAT:
      return ElementType::kFloat;
    case arrow::Type::DOUBLE:
      return ElementType::kDouble;
    default:
      return std::nullopt;
  }
}

bool is_list(const arrow::DataType& type) {
  return type.id() == arrow::Type::LIST || type.id() == arrow::Type::LARGE_LIST ||
         type.id() == arrow::Type::FIXED_SIZE_LIST;
}

std::string advice(const arrow::DataType& type) {
  switch (type.id()) {
    case arrow::Type::DECIMAL32:
    case arrow::Type::DECIMAL64:
    case arrow::Type::DECIMAL128:
    case arrow::Type::DECIMAL256:
      return "cast it to float64";
    case arrow::Type::DATE32:
    case arrow::Type::DATE64:
    case arrow::Type::TIMESTAMP:
    case arrow::Type::TIME32:
    case arrow::Type::TIME64:
    case arrow::Type::DURATION:
      return "make numbers of it, such as days since some date";
    case arrow::Type::STRUCT:
    case arrow::Type::MAP:
      return "make a column of each of its parts";
    default:
      return "make numbers, texts or arrays of numbers of it";
  }
}

}  // namespace

bool is_text(const arrow::DataType& type) {
  if (type.id() == arrow::Type::DICTIONARY) {
    return is_text(*static_cast<const arrow::DictionaryType&>(type).value_type());
  }
  return type.id() == arrow::Type::STRING || type.id() == arrow::Type::LARGE_STRING;
}

ColumnarField field_of(const arrow::Field& column) {
  ColumnarField field{.name = column.name(), .text = is_text(*column.type())};
  if (field.text) return field;
  const auto refuse = [&](const std::string& why) {
    field.sizes.clear();
    field.fault = ColumnFault{.why = "column " + column.name() + " " + why, .what = column.type()->ToString()};
    return field;
  };
  const arrow::DataType* type = column.type().get();
  std::int64_t values = 1;  // of an array
  while (is_list(*type)) {
    const bool fixed = type->id() == arrow::Type::FIXED_SIZE_LIST;
    field.sizes.push_back(fixed ? static_cast<const arrow::FixedSizeListType*>(type)->list_size() : -1);
    const std::int64_t size = std::max<std::int64_t>(field.sizes.back(), 1);
    if (size > kMostArrowValues / values) return refuse("has arrays too large to be read");
    values *= size;
    type = type->field(0)->type().get();
  }
  const auto element = element_type(*type);
  if (!element) return refuse("holds " + column.type()->ToString() + ": " + advice(*type) + ", or leave it out");
  field.type = *element;
  return field;
}

std::vector<std::string> index_columns(const arrow::Schema& schema) {
  const auto metadata = schema.metadata();
  const int pandas = metadata ? metadata->FindKey("pandas") : -1;
  std::vector<std::string> names;
  if (pandas < 0) return names;
  nlohmann::json about;
  try {
    about = parse_json(metadata->value(pandas), "the metadata of pandas");
  } catch (const InputError&) {  // it is about pandas alone
  }
  if (!about.is_object() || !about.contains("index_columns")) return names;
  for (const auto& column : about.at("index_columns")) {
    if (column.is_string()) names.push_back(column.get<std::string>());  // others are ranges that are no columns
  }
  return names;
}

}  // namespace lockstep
