#include "engine/data/table/TextTable.h"

#include <bit>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "common/Digest.h"
#include "common/Error.h"
#include "common/Text.h"
#include "engine/data/KeptIndex.h"
#include "engine/data/SampledDigest.h"
#include "engine/data/table/TextRecords.h"
#include "engine/files/InputFile.h"
#include "job/Json.h"

namespace lockstep {

using nlohmann::json;

namespace {

std::uint32_t length_between(std::uint64_t begin, std::uint64_t end) {
  if (end - begin > 2 * TextRecords::kMostBytes) {
    throw InputError("more than " + std::to_string(TextRecords::kMostBytes >> 20) + " MiB of blank lines");
  }
  return static_cast<std::uint32_t>(end - begin);
}

/// Rows may have columns that the first one lacks: then they are gone through once more.
enum class TablePass { kFirst, kLast };

/// What the files of a table hold, as far as they have been read.
struct Indexed {
  RecordIndex records{};
  Digest digest{};
  std::vector<BadRecord> bad{};
  std::string note{};
};

// A record reaches to where the next begins: line ends and blank lines belong to the one before.
void index_file(const std::filesystem::path& path, const TextTable& table, std::int64_t most_bad, TableColumns& columns,
                Indexed& indexed) {
  const auto file = open_input_file(path);
  TextRecords records(*file, [&](std::string_view text) { return table.end_of_record(text); });
  columns.set_place([&records] { return records.place(); });
  if (const std::string header = table.header(); !header.empty() && records.next() && records.text() != header) {
    throw InputError(records.place() + ": expected the header of the channel's first file, " + in_quotes(header));
  }
  std::uint64_t begin = 0;
  bool first = true;
  while (records.next()) {
    try {
      if (std::exchange(first, false)) {
        indexed.records.begin_file(records.offset());
      } else {
        indexed.records.add(length_between(begin, records.offset()));
      }
      begin = records.offset();
      indexed.digest.update(records.text());
      if (most_bad > 0) columns.begin_row();
      table.look_at(records.text(), columns);
    } catch (const InputError& error) {
      const std::string why = records.place() + ": " + error.what();
      if (begin != records.offset() || std::ssize(indexed.bad) == most_bad) {
        throw InputError(why + more_than(most_bad));
      }
      columns.undo_row();
      indexed.bad.push_back({.sample = indexed.records.size(), .why = why});
    }
  }
  first ? indexed.records.begin_file(0) : indexed.records.add(length_between(begin, records.end()));
  columns.set_place({});
}

// Whether a row may lack a value says only what the column holds, and that a later row may say.
void find_texts(const ChannelFiles& channel, const TextTable& table, TableColumns& columns) {
  TableColumns ahead = columns;
  for (const std::filesystem::path& path : channel.files) {
    const auto file = open_input_file(path);
    TextRecords records(*file, [&](std::string_view text) { return table.end_of_record(text); });
    if (!table.header().empty()) records.next();
    while (!ahead.all_seen() && records.next()) {
      try {
        table.look_at(records.text(), ahead);
      } catch (const InputError&) {  // it is found again, and left out
      }
    }
  }
  columns.take_texts(ahead);
}

Indexed index_files(const ChannelFiles& channel, const TextTable& table, TableColumns& columns) {
  Indexed indexed;
  if (channel.options.most_bad > 0) find_texts(channel, table, columns);
  for (const std::filesystem::path& path : channel.files) {
    index_file(path, table, channel.options.most_bad, columns, indexed);
  }
  return indexed;
}

// What an index follows from, beside the files.
std::string describe(const ChannelOptions& options, const TextTable& table, const TableColumns& columns,
                     TablePass pass) {
  std::string text = "rows, as of version 3; " + table.note() + "; bad: " + std::to_string(options.most_bad) +
                     "; fields: " + write_field_descriptions(options.fields).dump();
  for (std::size_t i = 0; i < columns.size(); ++i) text += "; column " + columns.name(i);
  if (pass == TablePass::kLast) text += "; and no others";
  if (options.most_bad > 0) {  // which rows are bad follows from what is taken of them
    for (const std::string& input : options.inputs.value_or(std::vector<std::string>())) text += "; input " + input;
    for (const auto& [input, column] : options.columns) text += "; " + input + " is " + column;
  }
  if (options.like != nullptr) {
    Digest layout;
    update_layout(layout, options.like->fields);
    text += "; like " + layout.hex();
  }
  return text;
}

// Nothing for findings that are none of these files'.
std::optional<Indexed> read_findings(FoundRecords&& found, const ChannelFiles& channel, TableColumns& columns) {
  try {
    columns.restore(found.findings.at("columns"));
    for (const auto& [name, rows] : found.findings.at("others").items()) columns.add_other(name, read_int(rows, 1));
    if (found.index.files() != channel.files.size()) return {};
    Indexed indexed{.records = std::move(found.index),
                    .digest = Digest(std::bit_cast<std::uint64_t>(read_int(found.findings.at("digest"))))};
    for (const json& bad : found.findings.at("bad")) {
      indexed.bad.push_back(
          {.sample = read_int(bad.at(0), 0, indexed.records.size() - 1), .why = bad.at(1).get<std::string>()});
    }
    return indexed;
  } catch (const json::exception&) {
    return {};
  } catch (const InputError&) {
    return {};
  }
}

// As index_files does, or as an earlier job did.
Indexed find_or_index(const ChannelFiles& channel, const TextTable& table, TableColumns& columns, TablePass pass) {
  if (channel.options.index_dir.empty()) return index_files(channel, table, columns);
  const KeptIndex kept(channel.options.index_dir, channel, describe(channel.options, table, columns, pass));
  if (auto found = kept.find()) {
    TableColumns known = columns;
    if (auto indexed = read_findings(*std::move(found), channel, known)) {
      columns = std::move(known);
      return *std::move(indexed);
    }
  }
  Indexed indexed = index_files(channel, table, columns);
  json bad = json::array();
  for (const BadRecord& record : indexed.bad) bad.push_back({record.sample, record.why});
  indexed.note = kept.keep(indexed.records, {{"columns", columns.findings()},
                                             {"others", columns.others()},
                                             {"digest", std::bit_cast<std::int64_t>(indexed.digest.state())},
                                             {"bad", std::move(bad)}});
  return indexed;
}

std::unique_ptr<Dataset> open_in(TablePass pass, const ChannelFiles& channel, const TextTable& table,
                                 std::vector<std::string> names) {
  TableColumns columns(names, channel.options.like, channel.options.fields);
  columns.set_uses(column_uses(names, channel.options));
  const std::int64_t most_bad = channel.options.most_bad;
  if (pass == TablePass::kLast && most_bad > 0) columns.refuse_others();
  Indexed indexed = find_or_index(channel, table, columns, pass);
  if (pass == TablePass::kFirst && !columns.others().empty()) {
    // Where rows may be bad, either those are that lack the column, or those that have it.
    for (const auto& [name, rows] : columns.others()) {
      if (most_bad == 0 || indexed.records.size() - rows <= most_bad) names.push_back(name);
    }
    return open_in(TablePass::kLast, channel, table, std::move(names));
  }
  if (indexed.records.size() > 0 && !channel.options.shard) columns.drop_absent();
  std::vector<Field> fields = columns.fields(channel.origin());
  update_layout(indexed.digest, fields);
  auto features = features_of(fields, channel.options);
  std::string note = table.note();
  if (!indexed.note.empty()) note += (note.empty() ? "" : "; ") + indexed.note;
  if (const std::string others = left_out(fields, features); !others.empty()) {
    note += (note.empty() ? "" : "; ") + others;
  }
  return std::make_unique<RecordDataset>(open_random_access(channel.files), std::move(indexed.records),
                                         table.decoder(std::move(fields), std::move(features)), indexed.digest.hex(),
                                         std::move(note), std::move(indexed.bad));
}

}  // namespace

std::unique_ptr<Dataset> open_text_table(const ChannelFiles& channel, const TextTable& table,
                                         std::vector<std::string> names) {
  return open_in(TablePass::kFirst, channel, table, std::move(names));
}

}  // namespace lockstep
