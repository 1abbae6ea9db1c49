#include "engine/data/formats/JsonLinesFormat.h"

#include <simdjson.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/data/BadRecord.h"
#include "engine/data/Columns.h"
#include "engine/data/Padding.h"
#include "engine/data/images/ImageManifest.h"
#include "engine/data/table/TextRecords.h"
#include "engine/data/table/TextTable.h"
#include "engine/files/InputFile.h"
#include "job/ContentType.h"

namespace lockstep {

namespace dom = simdjson::dom;

namespace {

constexpr std::size_t kMostDimensions = 8;

// Good until this thread's next call.
dom::object parse_row(std::string_view record) {
  thread_local dom::parser parser;
  dom::element row;
  if (const auto error = parser.parse(record.data(), record.size()).get(row)) {
    throw InputError(std::string("it is no JSON: ") + simdjson::error_message(error));
  }
  dom::object object;
  if (row.get(object) != simdjson::SUCCESS)
    throw InputError("expected an object in each line, as {\"x\": 1.5, \"y\": 0}");
  return object;
}

// Calls `visit(column, value)` with each value of a row, `lack(column, null)` with columns that have none, or null, and
// `other(key)` with keys of no column. `columns` has `size()`, and `name(column)`.
template <typename Columns, typename Visitor, typename Lack, typename Other>
void visit_row(std::string_view record, const Columns& columns, const Visitor& visit, const Lack& lack,
               const Other& other) {
  thread_local std::vector<bool> found;
  const std::size_t size = columns.size();
  found.assign(size, false);
  std::size_t count = 0;
  std::size_t likely = 0;  // rows mostly have their keys in one order
  for (const auto [key, value] : parse_row(record)) {
    if (likely >= size || columns.name(likely) != key) {
      likely = 0;
      while (likely < size && columns.name(likely) != key) ++likely;
      if (likely == size) {
        other(key);
        continue;
      }
    }
    if (found[likely]) throw InputError("it has the key " + in_quotes(key) + " twice");
    found[likely] = true;
    ++count;
    const std::size_t column = likely++;
    value.is_null() ? lack(column, /*null=*/true) : visit(column, value);
  }
  if (count == size) return;
  for (std::size_t column = 0; column < size; ++column) {
    if (!found[column]) lack(column, /*null=*/false);
  }
}

[[noreturn]] void refuse_lack(const std::string& name) {
  throw InputError("it has no " + in_quotes(name) + ", which other rows have");
}

// Those of the first array of each depth: all others must be alike.
std::vector<std::int64_t> sizes_of(dom::element value) {
  std::vector<std::int64_t> sizes;
  dom::array array;
  while (value.get(array) == simdjson::SUCCESS) {
    sizes.push_back(static_cast<std::int64_t>(array.size()));
    if (array.size() == 0 || sizes.size() > kMostDimensions) break;
    value = *array.begin();
  }
  return sizes;
}

// Calls `visit(value)` with what is in arrays of these sizes, row-major.
template <typename Visitor>
void visit_array(dom::element value, std::span<const std::int64_t> sizes, const std::string& name,
                 const Visitor& visit) {
  if (sizes.empty()) return visit(value);
  dom::array array;
  if (value.get(array) != simdjson::SUCCESS || static_cast<std::int64_t>(array.size()) != sizes[0]) {
    throw InputError("column " + name + " holds arrays that are not equally long: pad or cut them");
  }
  for (const dom::element each : array) visit_array(each, sizes.subspan(1), name, visit);
}

class JsonDecoder : public RecordDecoder {
 public:
  JsonDecoder(std::vector<Field> columns, std::optional<TableFeatures> features)
      : places_(columns.size()), spec_{std::move(columns)} {
    count_ = spec_.fields.size() - count_masks(spec_.fields);
    if (!features) return;
    spec_.fields.push_back(features->field);
    if (features->field.fault) return;
    has_features_ = true;
    as_feature_ = {.name = kFeaturesField, .type = features->field.type};
    for (std::size_t i = 0; i < features->columns.size(); ++i)
      places_[features->columns[i]] = i * size_of(as_feature_.type);
  }

  const SampleSpec& spec() const override { return spec_; }
  /// Of its columns, which are the first of its fields.
  std::size_t size() const { return count_; }
  const std::string& name(std::size_t column) const { return spec_.fields[column].name; }
  void decode(std::string_view record, std::span<std::byte* const> fields) const override {
    std::byte* const features = has_features_ ? fields.back() : nullptr;
    const auto take = [&](std::size_t column, dom::element value) {
      const Field& field = spec_.fields[column];
      if (field.fault) return;
      if (field.reading.pad.length > 0) {
        pad(field, value, fields[column], mask_place(field, fields));
      } else if (std::byte* out = fields[column]; out != nullptr) {
        visit_array(value, field.sizes, field.name, [&](dom::element each) {
          write(field, each, out);
          out += size_of(field.type);
        });
      }
      if (features != nullptr && places_[column]) write(as_feature_, value, features + *places_[column]);
    };
    const auto lack = [&](std::size_t column, bool /*null*/) {
      const Field& field = spec_.fields[column];
      if (field.fault) return;
      if (!field.reading.may_lack()) refuse_lack(field.name);
      if (field.reading.pad.length > 0) {
        write_padded(field, nullptr, 0, fields[column], mask_place(field, fields));
      } else if (fields[column] != nullptr) {
        write_missing(field, fields[column]);
      }
    };
    visit_row(record, *this, take, lack, [](std::string_view) {});
  }

 private:
  std::byte* mask_place(const Field& field, std::span<std::byte* const> fields) const {
    return field.reading.pad.mask.empty() ? nullptr : fields[*spec_.find(field.reading.pad.mask)];
  }

  static void pad(const Field& field, dom::element value, std::byte* out, std::byte* mask) {
    if (out == nullptr && mask == nullptr) return;
    dom::array list;
    if (value.get(list) != simdjson::SUCCESS) throw InputError("column " + field.name + " holds what is no list");
    thread_local std::vector<std::byte> numbers;
    const std::size_t width = size_of(field.type);
    numbers.resize(list.size() * width);
    std::size_t count = 0;
    for (const dom::element each : list) write(field, each, numbers.data() + count++ * width);
    write_padded(field, numbers.data(), static_cast<std::int64_t>(count), out, mask);
  }

  static void write(const Field& field, dom::element value, std::byte* out) {
    const bool is_bool = value.is_bool();
    std::int64_t integer = is_bool && bool(value) ? 1 : 0;
    if (!field.categories.empty() || field.reading.hash_buckets > 0) {
      std::string_view text;
      if (value.get(text) == simdjson::SUCCESS) return write_text(field, text, out);
      if (!field.reading.as_text() || (!is_bool && value.get(integer) != simdjson::SUCCESS)) {
        throw InputError("column " + field.name + " holds what is no text");
      }
      return write_text(field, std::to_string(integer), out);
    }
    if (is_real(field.type)) {
      auto number = static_cast<double>(integer);
      if (!is_bool && value.get(number) != simdjson::SUCCESS) {
        throw InputError("column " + field.name + " holds what is no number");
      }
      std::memcpy(out, &number, sizeof number);
      return;
    } else if (!is_bool && value.get(integer) != simdjson::SUCCESS) {
      throw InputError("column " + field.name + " holds what is no integer");
    }
    std::memcpy(out, &integer, sizeof integer);
  }

  std::size_t count_ = 0;  ///< of the columns
  bool has_features_ = false;
  std::vector<std::optional<std::size_t>> places_;  ///< of each column's bytes among the features
  Field as_feature_{};
  SampleSpec spec_;
};

class JsonTable : public TextTable {
 public:
  std::size_t end_of_record(std::string_view text) const override { return text.find('\n'); }
  void look_at(std::string_view record, TableColumns& columns) const override {
    const auto take = [&](std::size_t column, dom::element value) {
      columns.show(column, [&] { look_at_value(column, value, columns); });
    };
    const auto lack = [&](std::size_t column, bool null) { columns.missing(column, /*absent=*/!null); };
    visit_row(record, columns, take, lack, [&](std::string_view key) { columns.other(key); });
  }
  std::unique_ptr<const RecordDecoder> decoder(std::vector<Field> columns,
                                               std::optional<TableFeatures> features) const override {
    return std::make_unique<JsonDecoder>(std::move(columns), std::move(features));
  }

 private:
  void look_at_value(std::size_t column, dom::element value, TableColumns& columns) const {
    if (columns.reading(column).pad.length > 0) return look_at_list(column, value, columns);
    const std::vector<std::int64_t> sizes = sizes_of(value);
    if (!sizes.empty() && (sizes.size() > kMostDimensions || sizes.back() == 0)) {
      throw InputError("column " + columns.name(column) + " holds an array " +
                       (sizes.back() == 0 ? "of nothing" : "of too many dimensions"));
    }
    columns.sizes(column, sizes);
    visit_array(value, sizes, columns.name(column),
                [&](dom::element each) { look_at(column, each, !sizes.empty(), columns); });
  }

  void look_at_list(std::size_t column, dom::element value, TableColumns& columns) const {
    dom::array list;
    if (value.get(list) != simdjson::SUCCESS) {
      throw InputError("column " + columns.name(column) + " holds what is no list, and is to be padded");
    }
    columns.length(column, static_cast<std::int64_t>(list.size()));
    for (const dom::element each : list) look_at(column, each, true, columns);
  }

  void look_at(std::size_t column, dom::element value, bool in_array, TableColumns& columns) const {
    using Type = dom::element_type;
    const Type type = value.type();
    if (type == Type::INT64) return columns.integer(column, std::int64_t(value));
    if (type == Type::BOOL) return columns.integer(column, bool(value) ? 1 : 0);
    if (type == Type::DOUBLE || type == Type::UINT64) return columns.real(column, double(value));
    if (type == Type::NULL_VALUE) {
      throw InputError("column " + columns.name(column) + " holds an array with no value at one of its places");
    }
    if (type == Type::STRING && !in_array) return columns.text(column, std::string_view(value));
    throw InputError("column " + columns.name(column) + " holds " +
                     (type == Type::OBJECT   ? "an object"
                      : type == Type::STRING ? "an array of texts"
                                             : "arrays and numbers side by side") +
                     "; a column is numbers, texts or arrays of numbers: make it several columns, or leave it out");
  }
};

// The keys of the channel's first row, or where rows may be bad of the first that is not.
std::vector<std::string> first_keys(const ChannelFiles& channel) {
  std::int64_t bad = 0;
  for (const std::filesystem::path& path : channel.files) {
    const auto file = open_input_file(path);
    TextRecords records(*file, [](std::string_view text) { return text.find('\n'); });
    while (records.next()) {
      try {
        std::vector<std::string> keys;
        std::set<std::string_view> known;
        for (const auto [key, value] : parse_row(records.text())) {
          if (!known.insert(key).second) throw InputError("it has the key " + in_quotes(key) + " twice");
          keys.emplace_back(key);
        }
        if (keys.empty()) throw InputError("the channel's first row has no columns");
        return keys;
      } catch (const InputError& error) {
        if (bad++ < channel.options.most_bad) continue;
        throw InputError(records.place() + ": " + error.what() + more_than(channel.options.most_bad));
      }
    }
  }
  throw InputError(channel.origin() + " holds no record: its JSON lines are blank");
}

// As Spark names its files, and unlike JSON that is one object over several lines.
bool begins_with_row(std::string_view beginning) {
  const std::size_t end = beginning.find('\n');
  const std::string_view line = without_line_ends(beginning.substr(0, end));
  return line.starts_with('{') && (end == std::string_view::npos || line.ends_with('}'));
}

std::unique_ptr<Dataset> open(const ChannelFiles& channel) {
  std::vector<std::string> names = first_keys(channel);
  if (channel.options.like != nullptr) {
    names = columns_of(*channel.options.like, names, channel.options.fields);
  } else {
    for (const auto& [column, reading] : column_readings(channel.options.fields)) {
      if (reading.may_lack() && std::ranges::find(names, column) == names.end()) names.push_back(column);
    }
  }
  return open_text_table(channel, JsonTable(), std::move(names));
}

}  // namespace

Format json_lines_format() {
  return {.name = "JSON lines",
          .recognises =
              [](const FileHead& head) {
                const std::string_view beginning(reinterpret_cast<const char*>(head.bytes.data()), head.bytes.size());
                if (is_image_manifest(head.name, beginning)) return false;
                const auto is_said = [&](const char* type) {
                  return head.is_said_to_be(type) || (parse_content_type(head.options.content_type).type == type &&
                                                      head.name.ends_with(".json") && begins_with_row(beginning));
                };
                return head.name.ends_with(".jsonl") || head.name.ends_with(".ndjson") || is_said(kJsonLinesType) ||
                       is_said(kNdjsonType);
              },
          .open = open,
          .keeps_index = true};
}

}  // namespace lockstep
