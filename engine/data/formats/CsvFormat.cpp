#include "engine/data/formats/CsvFormat.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "common/Digest.h"
#include "common/Error.h"
#include "common/Text.h"
#include "engine/data/Columns.h"
#include "engine/data/RecordDataset.h"
#include "engine/data/SampledDigest.h"
#include "engine/data/table/CsvRecords.h"
#include "engine/data/table/TableColumns.h"
#include "engine/files/InputFile.h"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

constexpr const char* kContentType = "text/csv";

/// The first line that is not blank.
std::string first_line(const fs::path& path) {
  const auto file = open_input_file(path);
  CsvRecords records(*file, ',');
  return records.next() ? std::string(records.text()) : "";
}

/// How the files of a channel are written.
struct Dialect {
  char delimiter = ',';
  std::vector<std::string> names;  ///< of the columns
  std::string header{};            ///< the record that each file begins with; "" when there is none
};

Dialect dialect_of(const ChannelFiles& channel) {
  for (const fs::path& path : channel.files) {
    const auto file = open_input_file(path);
    const bool tabs = content_name(path.filename().string()).ends_with(".tsv");
    Dialect dialect{.delimiter = tabs ? '\t' : delimiter_of(first_line(path)), .names = {}};
    CsvRecords records(*file, dialect.delimiter);
    if (!records.next()) continue;
    std::vector<std::string_view> cells;
    std::string unquoted;
    split_csv(records.text(), dialect.delimiter, cells, unquoted);
    const bool header = std::ranges::none_of(cells, [](std::string_view cell) { return real_of(cell).has_value(); });
    if (header) {
      dialect.header = records.text();
      dialect.names.assign(cells.begin(), cells.end());
      return dialect;
    }
    for (std::size_t i = 0; i < cells.size(); ++i) dialect.names.push_back(std::to_string(i));
    if (channel.options.content_type.find("label_size=0") == std::string::npos) dialect.names[0] = kTargetColumn;
    return dialect;
  }
  throw InputError(channel.origin() + " holds no record: its CSV files are blank");
}

/// Calls `visit(records, cells)` with every record of a file behind its header. Throws InputError, naming file and
/// line, for a record of another number of cells, and for what `visit` throws.
template <typename Visitor>
void visit_records(const fs::path& path, const Dialect& dialect, const Visitor& visit) {
  const auto file = open_input_file(path);
  CsvRecords records(*file, dialect.delimiter);
  std::vector<std::string_view> cells;
  std::string unquoted;
  bool first = true;
  while (records.next()) {
    if (std::exchange(first, false) && !dialect.header.empty()) {
      if (records.text() == dialect.header) continue;
      throw InputError(records.place() + ": expected the header of the channel's first file, " +
                       in_quotes(dialect.header));
    }
    try {
      split_csv(records.text(), dialect.delimiter, cells, unquoted);
      if (cells.size() != dialect.names.size()) {
        throw InputError("cells: expected as many as the channel's first record has, " +
                         std::to_string(dialect.names.size()) + ", found " + std::to_string(cells.size()));
      }
      visit(records, cells);
    } catch (const InputError& error) {
      throw InputError(records.place() + ": " + error.what());
    }
  }
}

// What CsvRecords leaves of a record and of the blank lines behind it.
std::string_view without_line_ends(std::string_view record) {
  record.remove_suffix(record.size() - std::min(record.find_last_not_of("\r\n") + 1, record.size()));
  return record;
}

class CsvDecoder : public RecordDecoder {
 public:
  CsvDecoder(char delimiter, std::vector<Field> columns, const std::vector<std::size_t>& features)
      : delimiter_(delimiter), columns_(columns.size()), features_(features) {
    spec_.fields = std::move(columns);
    if (features_.empty()) return;
    Field all{.name = kFeaturesField,
              .type = ElementType::kInt64,
              .sizes = {static_cast<std::int64_t>(features_.size())},
              .origin = spec_.fields[0].origin};
    for (const std::size_t feature : features_) {
      if (is_real(spec_.fields[feature].type)) all.type = ElementType::kDouble;
    }
    as_feature_ = {.name = "", .type = all.type};
    spec_.fields.push_back(std::move(all));
  }

  const SampleSpec& spec() const override { return spec_; }
  void decode(std::string_view record, std::span<std::byte* const> fields) const override {
    thread_local std::vector<std::string_view> cells;
    thread_local std::string unquoted;
    record = without_line_ends(record);
    split_csv(record, delimiter_, cells, unquoted);
    if (cells.size() != columns_) throw InputError("the file has changed since its records were counted");
    for (std::size_t i = 0; i < columns_; ++i) {
      if (fields[i] != nullptr) write_cell(spec_.fields[i], cells[i], fields[i]);
    }
    if (features_.empty() || fields[columns_] == nullptr) return;
    std::byte* out = fields[columns_];
    for (const std::size_t feature : features_) {
      write_cell(as_feature_, cells[feature], out);
      out += size_of(as_feature_.type);
    }
  }

 private:
  char delimiter_;
  std::size_t columns_;
  std::vector<std::size_t> features_;
  Field as_feature_;
  SampleSpec spec_;
};

// Columns of numbers that have no role of their own.
std::vector<std::size_t> features_of(const std::vector<Field>& columns, const ChannelOptions& options) {
  std::set<std::string> taken;
  for (const auto& [input, column] : options.columns) taken.insert(column);
  if (!options.columns.contains(kWeightColumn)) taken.insert(kWeightColumn);
  if (!options.columns.contains(kTargetColumn)) {
    if (const auto target = target_field({columns})) taken.insert(columns[*target].name);
  }
  std::vector<std::size_t> features;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (columns[i].categories.empty() && !taken.contains(columns[i].name)) features.push_back(i);
  }
  return features;
}

std::uint32_t length_between(std::uint64_t begin, std::uint64_t end) {
  if (end - begin > 2 * CsvRecords::kMostBytes) {
    throw InputError("more than " + std::to_string(CsvRecords::kMostBytes >> 20) + " MiB of blank lines");
  }
  return static_cast<std::uint32_t>(end - begin);
}

// A record reaches to where the next begins: line ends and blank lines belong to the one before.
void index_file(const fs::path& path, const Dialect& dialect, TableColumns& columns, RecordIndex& index,
                Digest& digest) {
  std::optional<std::uint64_t> begin;
  std::uint64_t end = 0;
  visit_records(path, dialect, [&](const CsvRecords& records, std::span<const std::string_view> cells) {
    columns.look_at(cells);
    digest.update(records.text());
    if (begin) {
      index.add(length_between(*begin, records.offset()));
    } else {
      index.begin_file(records.offset());
    }
    begin = records.offset();
    end = records.end();
  });
  if (begin) {
    index.add(length_between(*begin, end));
  } else {
    index.begin_file(0);
  }
}

std::unique_ptr<Dataset> open(const ChannelFiles& channel) {
  const Dialect dialect = dialect_of(channel);
  TableColumns columns(dialect.names, channel.options.like);
  RecordIndex index;
  Digest digest;
  std::vector<RandomAccessFile> files;
  for (const fs::path& path : channel.files) {
    index_file(path, dialect, columns, index, digest);
    files.emplace_back(path);
  }
  if (columns.has_text()) {
    for (const fs::path& path : channel.files) {
      visit_records(path, dialect,
                    [&](const CsvRecords&, std::span<const std::string_view> cells) { columns.collect(cells); });
    }
  }
  std::vector<Field> fields = columns.fields(channel.origin());
  digest.update(std::string(1, dialect.delimiter));
  update_layout(digest, fields);
  const std::vector<std::size_t> features = features_of(fields, channel.options);
  return std::make_unique<RecordDataset>(std::move(files), std::move(index),
                                         std::make_unique<CsvDecoder>(dialect.delimiter, std::move(fields), features),
                                         digest.hex());
}

}  // namespace

Format csv_format() {
  return {.name = "CSV",
          .wants = "tables as .csv or .tsv files",
          .recognises =
              [](const FileHead& head) {
                return head.name.ends_with(".csv") || head.name.ends_with(".tsv") ||
                       head.options.content_type.starts_with(kContentType);
              },
          .open = open};
}

}  // namespace lockstep
