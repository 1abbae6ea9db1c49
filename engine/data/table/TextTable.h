// Tables whose rows are records of text files.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/data/ChannelFiles.h"
#include "engine/data/RecordDataset.h"
#include "engine/data/table/TableColumns.h"
#include "engine/data/table/TableFeatures.h"

namespace lockstep {

/// What sets one format of such tables apart from another. Thread-safe.
class TextTable {
 public:
  virtual ~TextTable() = default;
  /// As TextRecords has it.
  virtual std::size_t end_of_record(std::string_view text) const = 0;
  /// What each file begins with before its rows; "" for nothing.
  virtual std::string header() const { return ""; }
  /// What was found out about how the files are written, for whoever trains on them.
  virtual std::string note() const { return ""; }
  /// Shows the values of a row. Throws InputError that says what is wrong with it, but not where it lies.
  virtual void look_at(std::string_view record, TableColumns& columns) const = 0;
  /// Of rows with these columns.
  virtual std::unique_ptr<const RecordDecoder> decoder(std::vector<Field> columns,
                                                       std::optional<TableFeatures> features) const = 0;
};

/// Reads all rows, which say what the columns, of these names, hold; and once more if rows have other columns, too.
/// What the training channel has no column for is passed over. The digest is of all their bytes. Throws InputError,
/// naming file and line.
std::unique_ptr<Dataset> open_text_table(const ChannelFiles& channel, const TextTable& table,
                                         std::vector<std::string> names);

}  // namespace lockstep
