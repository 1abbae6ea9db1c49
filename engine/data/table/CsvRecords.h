// The records of a CSV file, one after another.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/files/InputFile.h"

namespace lockstep {

/// Reads a file once. Records end with a line feed, with or without a carriage return before it, or with the file
/// (RFC 4180). A quoted cell may hold line ends. Blank lines are passed over, and a byte order mark before the first
/// record. Call `next`, and while it is true look at the record.
class CsvRecords {
 public:
  static constexpr std::size_t kMostBytes = 16 << 20;  ///< of a record

  /// Keeps a reference.
  explicit CsvRecords(InputFile& file, char delimiter) : file_(file), delimiter_(delimiter) {}

  /// Throws InputError, naming the line in which the record begins, for one longer than kMostBytes: that is a quote
  /// that nothing closes.
  bool next();
  /// Without its line end; good until the next call.
  std::string_view text() const { return {buffer_.data() + begin_, length_}; }
  std::uint64_t offset() const { return start_ + begin_; }  ///< of its first byte in the file's content
  std::uint64_t end() const { return start_ + next_; }      ///< of what follows its line end
  std::int64_t line() const { return line_; }               ///< in which it begins, from 1
  /// "data.csv, line 7"
  std::string place() const;

 private:
  bool find_end();
  bool fill();

  InputFile& file_;
  char delimiter_;
  std::vector<char> buffer_;
  std::size_t filled_ = 0;
  std::uint64_t start_ = 0;  ///< of the buffer in the content
  std::size_t begin_ = 0;
  std::size_t length_ = 0;
  std::size_t next_ = 0;
  std::int64_t line_ = 0;
  std::int64_t lines_ = 1;  ///< of the one after it
};

/// The cells of a record. Quotes around a cell are taken off, and two within it are one. Cells that are not as they
/// stand in the record lie in `unquoted`. Throws InputError for text behind a closing quote and for a quote that
/// nothing closes.
void split_csv(std::string_view record, char delimiter, std::vector<std::string_view>& cells, std::string& unquoted);

/// What stands between the cells of a record most often: a comma, a tab, a semicolon or a bar; a comma for a record of
/// one cell.
char delimiter_of(std::string_view record);

}  // namespace lockstep
