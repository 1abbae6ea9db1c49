#include "engine/data/formats/CsvFormat.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/data/Columns.h"
#include "engine/data/table/CsvRecord.h"
#include "engine/data/table/TextRecords.h"
#include "engine/data/table/TextTable.h"
#include "engine/files/InputFile.h"
#include "job/ContentType.h"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

class CsvDecoder : public RecordDecoder {
 public:
  CsvDecoder(char delimiter, std::vector<Field> columns, std::optional<TableFeatures> features)
      : delimiter_(delimiter), columns_(columns.size()), spec_{std::move(columns)} {
    if (!features) return;
    spec_.fields.push_back(features->field);
    if (features->field.fault) return;
    features_ = std::move(features->columns);
    as_feature_ = {.name = kFeaturesField, .type = features->field.type};
  }

  const SampleSpec& spec() const override { return spec_; }
  void decode(std::string_view record, std::span<std::byte* const> fields) const override {
    record = without_line_ends(record);
    if (!decode_plain(record, fields)) decode_any(record, fields);
  }

 private:
  /// Where the number of a cell is written: as its column's, and among the features.
  struct Places {
    std::byte* own = nullptr;
    std::byte* feature = nullptr;
  };

  // False, with some cells written, where one is not as most are: quoted, a number among spaces, or no value.
  bool decode_plain(std::string_view record, std::span<std::byte* const> fields) const {
    const char* at = record.data();
    const char* const end = at + record.size();
    std::byte* feature = features_.empty() ? nullptr : fields[columns_];
    auto next_feature = features_.begin();
    for (std::size_t i = 0; i < columns_; ++i) {
      Places places{.own = spec_.fields[i].fault ? nullptr : fields[i]};
      if (next_feature != features_.end() && *next_feature == i) {
        ++next_feature;
        if (feature != nullptr) places.feature = std::exchange(feature, feature + size_of(as_feature_.type));
      }
      const Field& field = spec_.fields[i];
      at = places.own == nullptr && places.feature == nullptr ? end_of_cell(at, end)
           : holds_texts(field)                               ? write_plain_text(at, end, field, places.own)
           : is_real(field.type)                              ? write_plain_number<double>(at, end, places)
                                                              : write_plain_number<std::int64_t>(at, end, places);
      if (at == nullptr || (at == end) != (i + 1 == columns_)) return false;
      if (at != end && *at++ != delimiter_) return false;
    }
    return true;
  }

  static bool holds_texts(const Field& field) { return !field.categories.empty() || field.reading.hash_buckets > 0; }

  // Of one that is not quoted; null for one that is.
  const char* end_of_cell(const char* at, const char* end) const {
    if (at != end && *at == '"') return nullptr;
    return std::find(at, end, delimiter_);
  }

  const char* write_plain_text(const char* at, const char* end, const Field& field, std::byte* out) const {
    const char* const cell_end = end_of_cell(at, end);
    if (cell_end != nullptr) write_cell(field, {at, cell_end}, out);
    return cell_end;
  }

  template <typename Number>
  const char* write_plain_number(const char* at, const char* end, const Places& places) const {
    Number number{};
    const auto [rest, error] = std::from_chars(at, end, number);
    if (error != std::errc() || !std::isfinite(static_cast<double>(number))) return nullptr;
    if (places.own != nullptr) std::memcpy(places.own, &number, sizeof number);
    if (places.feature == nullptr) return rest;
    if (is_real(as_feature_.type)) {
      const auto real = static_cast<double>(number);
      std::memcpy(places.feature, &real, sizeof real);
    } else {
      std::memcpy(places.feature, &number, sizeof number);
    }
    return rest;
  }

  void decode_any(std::string_view record, std::span<std::byte* const> fields) const {
    thread_local std::vector<std::string_view> cells;
    thread_local std::string unquoted;
    split_csv(record, delimiter_, cells, unquoted);
    if (cells.size() != columns_) throw InputError("the file has changed since its records were counted");
    for (std::size_t i = 0; i < columns_; ++i) {
      if (fields[i] != nullptr && !spec_.fields[i].fault) write_cell(spec_.fields[i], cells[i], fields[i]);
    }
    if (features_.empty() || fields[columns_] == nullptr) return;
    std::byte* out = fields[columns_];
    for (const std::size_t feature : features_) {
      write_cell(as_feature_, cells[feature], out);
      out += size_of(as_feature_.type);
    }
  }

  char delimiter_;
  std::size_t columns_;
  std::vector<std::size_t> features_{};  ///< in ascending order
  Field as_feature_{};
  SampleSpec spec_;
};

/// How the files of a channel are written.
class CsvTable : public TextTable {
 public:
  /// From its first record.
  explicit CsvTable(const ChannelFiles& channel) {
    for (const fs::path& path : channel.files) {
      const bool tabs = content_name(path.filename().string()).ends_with(".tsv");
      delimiter_ = tabs ? '\t' : delimiter_of(first_record(path, ','));
      const std::string record = first_record(path, delimiter_);
      if (record.empty()) continue;
      find_names(record, parse_content_type(channel.options.content_type));
      return;
    }
    throw InputError(channel.origin() + " holds no record: its CSV files are blank");
  }

  const std::vector<std::string>& names() const { return names_; }
  std::size_t end_of_record(std::string_view text) const override { return end_of_csv_record(text, delimiter_); }
  std::string header() const override { return header_; }
  std::string note() const override {
    return "cells end at " + (delimiter_ == '\t' ? "tabs" : in_quotes(std::string(1, delimiter_))) +
           (!header_.empty()             ? "; the first record names the columns"
            : names_[0] == kTargetColumn ? "; no header, and so the first column is the target"
                                         : "; no header");
  }
  void look_at(std::string_view record, TableColumns& columns) const override {
    thread_local std::vector<std::string_view> cells;
    thread_local std::string unquoted;
    split_csv(record, delimiter_, cells, unquoted);
    if (cells.size() != names_.size()) {
      throw InputError("cells: expected as many as the channel's first record has, " + std::to_string(names_.size()) +
                       ", found " + std::to_string(cells.size()));
    }
    columns.look_at(cells);
  }
  std::unique_ptr<const RecordDecoder> decoder(std::vector<Field> columns,
                                               std::optional<TableFeatures> features) const override {
    return std::make_unique<CsvDecoder>(delimiter_, std::move(columns), std::move(features));
  }

 private:
  static std::string first_record(const fs::path& path, char delimiter) {
    const auto file = open_input_file(path);
    TextRecords records(*file, [=](std::string_view text) { return end_of_csv_record(text, delimiter); });
    return records.next() ? std::string(records.text()) : "";
  }

  void find_names(const std::string& record, const ContentType& type) {
    std::vector<std::string_view> cells;
    std::string unquoted;
    split_csv(record, delimiter_, cells, unquoted);
    const bool texts = std::ranges::none_of(cells, [](std::string_view cell) { return real_of(cell).has_value(); });
    if (parameter(type, "header", {"", "present", "absent"}, texts ? "present" : "absent") == "present") {
      header_ = record;
      std::size_t without = 0;
      for (const std::string_view cell : cells) {
        names_.push_back(cell.empty() ? unnamed_column(without++) : std::string(cell));
      }
      return;
    }
    for (std::size_t i = 0; i < cells.size(); ++i) names_.push_back(std::to_string(i));
    if (parameter(type, "label_size", {"", "0", "1"}, "1") == "1") names_[0] = kTargetColumn;
  }

  // One of `choices`, the first of which stands for `otherwise`.
  static std::string parameter(const ContentType& type, const std::string& name,
                               const std::vector<std::string>& choices, const std::string& otherwise) {
    const std::string value = type.parameter(name);
    if (std::ranges::find(choices, value) == choices.end()) {
      throw InputError("the content type's " + name + ": expected " + choices[1] + " or " + choices[2] + ", found " +
                       in_quotes(value));
    }
    return value.empty() ? otherwise : value;
  }

  char delimiter_ = ',';
  std::vector<std::string> names_{};  ///< of the columns
  std::string header_{};              ///< the record that each file begins with; "" when there is none
};

std::unique_ptr<Dataset> open(const ChannelFiles& channel) {
  const CsvTable table(channel);
  return open_text_table(channel, table, table.names());
}

}  // namespace

Format csv_format() {
  return {.name = "CSV",
          .recognises =
              [](const FileHead& head) {
                return head.name.ends_with(".csv") || head.name.ends_with(".tsv") || head.is_said_to_be(kCsvType);
              },
          .open = open,
          .keeps_index = true};
}

}  // namespace lockstep
