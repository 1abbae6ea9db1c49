// Files that hold a table column by column: Parquet and Arrow IPC.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/ElementType.h"
#include "engine/data/Field.h"
#include "engine/files/RandomAccessFile.h"
#include "job/FieldDescription.h"

namespace lockstep {

/// A column as its file says: texts, or numbers and arrays of numbers.
struct ColumnarField {
  std::string name{};
  bool text = false;
  ElementType type = ElementType::kDouble;  ///< of numbers, as stored
  std::vector<std::int64_t> sizes{};        ///< of the array that a row has; {} for one number
  ColumnReading reading{};                  ///< what was said of it
  std::optional<ColumnFault> fault{};       ///< it is not to be read
  bool row_index = false;                   ///< pandas says so
};

/// Some rows of the columns that are wanted.
struct ColumnarRows {
  struct Column {
    std::span<const std::byte> numbers{};  ///< row-major, aligned for their type
    std::vector<std::string_view> texts{};
    std::vector<bool> missing{};  ///< by row, where some have no value
    std::string fault{};          ///< what is wrong, and where: here and in later rows, it is empty
    std::vector<std::int64_t>
        lengths{};  ///< by row, of lists that are to be padded; `numbers` has one behind the other
  };

  std::int64_t first = 0;  ///< within the file
  std::int64_t count = 0;
  std::vector<Column> columns{};  ///< in the file's order; empty where not wanted
};

class ColumnarFile {
 public:
  virtual ~ColumnarFile() = default;

  /// Of the file; and which table of it this is, where it holds several.
  virtual const std::string& name() const = 0;
  /// Columns in the file's order.
  virtual const std::vector<ColumnarField>& fields() const = 0;
  /// Where a row lies, for messages.
  virtual std::string place(std::int64_t row) const = 0;
  /// Calls `visit` with all rows, a few thousand at a time. Arrays of another size than before, or without a value at
  /// one of their places, are a fault of their column. Throws InputError for a file that is not intact.
  virtual void read(const std::vector<bool>& wanted, const std::function<void(const ColumnarRows&)>& visit) const = 0;
};

enum class ColumnarKind { kParquet, kArrow };

using ColumnReadings = std::map<std::string, ColumnReading>;  ///< by column

/// Loads lockstep-arrow.so (arrow_function). Keeps `file`. Of several tables behind each other in one file each is one.
/// A column of another type than a number, a text or an array of numbers has a fault. Throws InputError for a file that
/// is not intact, wants more than 512 MiB of memory at once, or holds more than 65,536 tables.
std::vector<std::unique_ptr<ColumnarFile>> open_columnar_file(const RandomAccessFile& file, ColumnarKind kind,
                                                              const ColumnReadings& readings = {});

}  // namespace lockstep

/// What lockstep-arrow.so offers.
extern "C" void lockstep_open_columnar_file(const lockstep::RandomAccessFile& file, lockstep::ColumnarKind kind,
                                            const lockstep::ColumnReadings& readings,
                                            std::vector<std::unique_ptr<lockstep::ColumnarFile>>& opened);
