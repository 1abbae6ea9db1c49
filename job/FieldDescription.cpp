#include "job/FieldDescription.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "common/Error.h"
#include "common/Text.h"
#include "job/Json.h"

namespace lockstep {

using nlohmann::json;

namespace {

constexpr std::int64_t kMostLength = std::int64_t{1} << 24;   // of a padded list
constexpr std::int64_t kMostBuckets = std::int64_t{1} << 40;  // of hashed texts

const std::vector<std::pair<FieldPart::Type, std::string>> kTypes = {
    {FieldPart::Type::kText, "text"}, {FieldPart::Type::kInteger, "integer"}, {FieldPart::Type::kReal, "real"}};
const std::vector<std::pair<FieldPart::Normalize, std::string>> kComputed = {
    {FieldPart::Normalize::kStandard, "standard"}, {FieldPart::Normalize::kMinMax, "min_max"}};
const std::vector<std::string> kKeys = {"column", "columns", "type", "normalize", "encode",
                                        "labels", "hash",    "fill", "pad"};

[[noreturn]] void refuse(const std::string& key, const std::string& expected, const json& found) {
  throw InputError(in_quotes(key) + ": expected " + expected + "; found " + excerpt(found));
}

void require_known(const json& object, const std::vector<std::string>& keys) {
  for (const auto& [key, value] : object.items()) {
    if (std::ranges::find(keys, key) != keys.end()) continue;
    const std::string meant = nearest(key, keys);
    throw InputError("there is no " + in_quotes(key) + ": " +
                     (meant.empty() ? "expected " + join(keys, ", ") : "did you mean " + meant + "?"));
  }
}

template <typename Value>
Value named(const std::vector<std::pair<Value, std::string>>& names, const std::string& key,
            const std::string& expected, const json& found) {
  for (const auto& [value, name] : names) {
    if (found == name) return value;
  }
  refuse(key, expected, found);
}

std::string name_at(const json& value, const std::string& key) {
  if (!value.is_string() || value.get_ref<const std::string&>().empty()) refuse(key, "a name", value);
  return value;
}

std::vector<double> numbers_at(const json& value, const std::string& key, bool positive) {
  std::vector<double> numbers;
  for (const json& number : value.is_array() ? value : json::array({value})) {
    const bool good =
        number.is_number() && std::isfinite(number.get<double>()) && (!positive || number.get<double>() > 0);
    if (!good) refuse(key, positive ? "a number > 0, or a list of them" : "a number, or a list of them", value);
    numbers.push_back(number);
  }
  if (numbers.empty()) refuse(key, "at least one number", value);
  return numbers;
}

void read_normalize(const json& value, FieldPart& part) {
  const std::string expected = R"("standard", "min_max", or numbers, as in {"mean": 0.5, "std": 0.2})";
  if (!value.is_object()) {
    part.normalize = named(kComputed, "normalize", expected, value);
    return;
  }
  require_known(value, {"mean", "std"});
  if (!value.contains("mean") || !value.contains("std")) refuse("normalize", expected, value);
  part.normalize = FieldPart::Normalize::kGiven;
  part.mean = numbers_at(value.at("mean"), "mean", false);
  part.std = numbers_at(value.at("std"), "std", true);
  if (part.mean.size() != part.std.size()) refuse("normalize", "as many means as deviations", value);
}

std::vector<FieldPart::Label> labels_at(const json& value) {
  std::vector<FieldPart::Label> labels;
  if (value == "found") return labels;
  const std::string expected = R"("found", or a list of different texts or of different integers)";
  if (!value.is_array() || value.empty()) refuse("labels", expected, value);
  for (const json& label : value) {
    if (label.is_string() && value[0].is_string()) {
      labels.emplace_back(label.get<std::string>());
    } else if (label.is_number_integer() && value[0].is_number_integer()) {
      labels.emplace_back(read_int(label));
    } else {
      refuse("labels", expected, value);
    }
  }
  if (std::set(labels.begin(), labels.end()).size() < labels.size()) refuse("labels", expected, value);
  return labels;
}

Fill fill_at(const json& value) {
  if (value.is_number() && std::isfinite(value.get<double>())) return {.value = value.get<double>()};
  if (value.is_string() && !value.get_ref<const std::string&>().empty()) return {.value = value.get<std::string>()};
  refuse("fill", R"(a number, "mean", or among texts a text)", value);
}

Padding padding_at(const json& value) {
  const json object = value.is_object() ? value : json{{"length", value}};
  require_known(object, {"length", "value", "cut", "mask"});
  const json length = object.value("length", json());
  if (!length.is_number_integer() || length < 1 || length > kMostLength) {
    refuse("pad", R"(a length ≥ 1, or {"length": 128, "value": 0, "cut": true, "mask": "attention_mask"})", value);
  }
  Padding pad{.length = length.get<std::int64_t>()};
  if (object.contains("value")) {
    const std::vector<double> numbers = numbers_at(object.at("value"), "value", false);
    if (numbers.size() != 1) refuse("value", "a number", object.at("value"));
    pad.value = numbers[0];
  }
  if (object.contains("cut")) {
    if (!object.at("cut").is_boolean()) refuse("cut", "true or false", object.at("cut"));
    pad.cut = object.at("cut");
  }
  if (object.contains("mask")) pad.mask = name_at(object.at("mask"), "mask");
  return pad;
}

// What cannot be meant together, whatever the columns hold.
void check_part(const FieldPart& part) {
  const bool normalized = part.normalize != FieldPart::Normalize::kNone;
  const bool encoded = part.one_hot || part.labels || part.hash_buckets > 0;
  const auto both = [](bool wrong, const std::string& text) {
    if (wrong) throw InputError(text);
  };
  both(normalized && (encoded || part.type == FieldPart::Type::kText),
       "normalize is for numbers, and not beside type=text, encode, labels and hash");
  both(part.labels && part.hash_buckets > 0, "labels and hash are two ways to number texts: leave one out");
  both(part.pad.length > 0 && (normalized || encoded || part.fill || part.type != FieldPart::Type::kStored),
       "pad stands alone: its numbers are taken as they are");
  both(part.pad.length > 0 && part.columns.size() > 1, "pad is for a field of one column");
  both(part.type == FieldPart::Type::kReal && encoded, "type=real is not for what becomes labels");
  both(part.type == FieldPart::Type::kInteger && part.fill && part.fill->mean(),
       "type=integer is not for what is filled by a mean, which is no integer");
  both(part.type == FieldPart::Type::kInteger && normalized, "type=integer is not for what is normalized");
  both(part.fill && part.reading().as_text() && part.fill->text() == nullptr,
       "texts are filled by a text, as in \"fill\": \"unknown\"");
}

FieldPart read_part(const std::string& field, const json& value) {
  if (value.is_string()) return {.columns = {name_at(value, field)}};
  if (!value.is_object()) throw InputError("expected a column's name, an object or a list of objects");
  require_known(value, kKeys);
  FieldPart part;
  if (value.contains("column") && value.contains("columns")) throw InputError("column and columns are both given");
  if (value.contains("columns")) {
    part.columns = text_list(value.at("columns"), in_quotes("columns"));
    if (part.columns.empty()) refuse("columns", "at least one name", value.at("columns"));
  } else {
    part.columns = {value.contains("column") ? name_at(value.at("column"), "column") : field};
  }
  if (value.contains("type")) part.type = named(kTypes, "type", "text, integer or real", value.at("type"));
  if (value.contains("normalize")) read_normalize(value.at("normalize"), part);
  if (value.contains("encode")) {
    if (value.at("encode") != "one_hot") refuse("encode", R"("one_hot")", value.at("encode"));
    part.one_hot = true;
  }
  if (value.contains("labels")) part.labels = labels_at(value.at("labels"));
  if (value.contains("hash")) {
    const json& buckets = value.at("hash");
    if (!buckets.is_number_integer() || buckets < 1 || buckets > kMostBuckets) {
      refuse("hash", "a number of buckets ≥ 1", buckets);
    }
    part.hash_buckets = buckets;
  }
  if (value.contains("fill")) part.fill = fill_at(value.at("fill"));
  if (value.contains("pad")) part.pad = padding_at(value.at("pad"));
  check_part(part);
  return part;
}

json write_part(const FieldPart& part) {
  json object = {{"columns", part.columns}};
  for (const auto& [type, name] : kTypes) {
    if (part.type == type) object["type"] = name;
  }
  for (const auto& [normalize, name] : kComputed) {
    if (part.normalize == normalize) object["normalize"] = name;
  }
  if (part.normalize == FieldPart::Normalize::kGiven) object["normalize"] = {{"mean", part.mean}, {"std", part.std}};
  if (part.one_hot) object["encode"] = "one_hot";
  if (part.labels) {
    json list = json::array();
    for (const FieldPart::Label& label : *part.labels) {
      std::visit([&](const auto& value) { list.push_back(value); }, label);
    }
    object["labels"] = list.empty() ? json("found") : std::move(list);
  }
  if (part.hash_buckets > 0) object["hash"] = part.hash_buckets;
  if (part.fill) std::visit([&](const auto& value) { object["fill"] = value; }, part.fill->value);
  if (part.pad.length > 0) object["pad"] = write_padding(part.pad);
  return object;
}

}  // namespace

std::int64_t text_bucket(std::string_view text, std::int64_t buckets) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return static_cast<std::int64_t>(hash % static_cast<std::uint64_t>(buckets));
}

json write_padding(const Padding& pad) {
  json object = {{"length", pad.length}, {"value", pad.value}, {"cut", pad.cut}};
  if (!pad.mask.empty()) object["mask"] = pad.mask;
  return object;
}

FieldDescriptions read_field_descriptions(const json& object) {
  if (!object.is_object()) {
    throw InputError(R"(expected an object, as in {"x": {"columns": ["age", "height"], "normalize": "standard"}})");
  }
  FieldDescriptions fields;
  for (const auto& [name, value] : object.items()) {
    try {
      if (name.empty()) throw InputError("a field has no name");
      std::vector<FieldPart> parts;
      for (const json& part : value.is_array() ? value : json::array({value})) parts.push_back(read_part(name, part));
      if (parts.empty()) throw InputError("expected at least one part");
      if (parts.size() > 1 && std::ranges::any_of(parts, [](const FieldPart& part) { return part.pad.length > 0; })) {
        throw InputError("pad is for a field of one column");
      }
      fields.emplace(name, std::move(parts));
    } catch (const InputError& error) {
      throw InputError("field " + in_quotes(name) + ": " + error.what());
    }
  }
  column_readings(fields);
  return fields;
}

json write_field_descriptions(const FieldDescriptions& fields) {
  json object = json::object();
  for (const auto& [name, parts] : fields) {
    json list = json::array();
    for (const FieldPart& part : parts) list.push_back(write_part(part));
    object[name] = list.size() == 1 ? list[0] : std::move(list);
  }
  return object;
}

std::map<std::string, ColumnReading> column_readings(const FieldDescriptions& fields) {
  std::map<std::string, ColumnReading> readings;
  for (const auto& [name, parts] : fields) {
    for (const FieldPart& part : parts) {
      for (const std::string& column : part.columns) {
        const auto [place, first] = readings.emplace(column, part.reading());
        if (first || place->second == part.reading()) continue;
        throw InputError("column " + in_quotes(column) +
                         " is described twice, and not alike in type=text, hash, fill and pad: it is read once");
      }
    }
  }
  return readings;
}

}  // namespace lockstep
