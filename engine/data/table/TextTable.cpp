#include "engine/data/table/TextTable.h"

#include <utility>

#include "common/Digest.h"
#include "common/Error.h"
#include "common/Text.h"
#include "engine/data/SampledDigest.h"
#include "engine/data/table/TextRecords.h"
#include "engine/files/InputFile.h"

namespace lockstep {

namespace {

std::uint32_t length_between(std::uint64_t begin, std::uint64_t end) {
  if (end - begin > 2 * TextRecords::kMostBytes) {
    throw InputError("more than " + std::to_string(TextRecords::kMostBytes >> 20) + " MiB of blank lines");
  }
  return static_cast<std::uint32_t>(end - begin);
}

// A record reaches to where the next begins: line ends and blank lines belong to the one before.
void index_file(const std::filesystem::path& path, const TextTable& table, TableColumns& columns, RecordIndex& index,
                Digest& digest) {
  const auto file = open_input_file(path);
  TextRecords records(*file, [&](std::string_view text) { return table.end_of_record(text); });
  if (const std::string header = table.header(); !header.empty() && records.next() && records.text() != header) {
    throw InputError(records.place() + ": expected the header of the channel's first file, " + in_quotes(header));
  }
  std::uint64_t begin = 0;
  bool first = true;
  while (records.next()) {
    try {
      table.look_at(records.text(), columns);
      digest.update(records.text());
      if (std::exchange(first, false)) {
        index.begin_file(records.offset());
      } else {
        index.add(length_between(begin, records.offset()));
      }
      begin = records.offset();
    } catch (const InputError& error) {
      throw InputError(records.place() + ": " + error.what());
    }
  }
  first ? index.begin_file(0) : index.add(length_between(begin, records.end()));
}

}  // namespace

std::unique_ptr<Dataset> open_text_table(const ChannelFiles& channel, const TextTable& table, TableColumns columns) {
  RecordIndex index;
  Digest digest;
  for (const std::filesystem::path& path : channel.files) index_file(path, table, columns, index, digest);
  std::vector<Field> fields = columns.fields(channel.origin());
  update_layout(digest, fields);
  auto features = features_of(fields, channel.options);
  std::string note = table.note();
  if (const std::string others = left_out(fields, features); !others.empty()) {
    note += (note.empty() ? "" : "; ") + others;
  }
  return std::make_unique<RecordDataset>(open_random_access(channel.files), std::move(index),
                                         table.decoder(std::move(fields), std::move(features)), digest.hex(),
                                         std::move(note));
}

}  // namespace lockstep
