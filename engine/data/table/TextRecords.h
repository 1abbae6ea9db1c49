// The records of a text file, one after another.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/files/InputFile.h"

namespace lockstep {

/// What may stand before the first record of a text in UTF-8.
inline constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

/// Reads a file once. Records end with a line feed, with or without a carriage return before it, or with the file.
/// Blank lines are passed over, and a byte order mark before the first record. Call `next`, and while it is true look
/// at the record.
class TextRecords {
 public:
  static constexpr std::size_t kMostBytes = 16 << 20;  ///< of a record
  /// Where the line feed is that ends the record at the start of a text; npos when it does not end there.
  using EndOfRecord = std::function<std::size_t(std::string_view text)>;

  /// Keeps a reference.
  TextRecords(InputFile& file, EndOfRecord end) : file_(file), end_(std::move(end)) {}

  /// Throws InputError, naming the line in which the record begins, for one longer than kMostBytes: something that
  /// should end it is missing.
  bool next();
  /// Without its line end; good until the next call.
  std::string_view text() const { return {buffer_.data() + begin_, length_}; }
  std::uint64_t offset() const { return start_ + begin_; }  ///< of its first byte in the file's content
  std::uint64_t end() const { return start_ + next_; }      ///< of what follows its line end
  std::int64_t line() const { return line_; }               ///< in which it begins, from 1
  /// "data.csv, line 7"
  std::string place() const;

 private:
  bool fill();

  InputFile& file_;
  EndOfRecord end_;
  std::vector<char> buffer_{};
  std::size_t filled_ = 0;
  std::uint64_t start_ = 0;  ///< of the buffer in the content
  std::size_t begin_ = 0;
  std::size_t length_ = 0;
  std::size_t next_ = 0;
  std::int64_t line_ = 0;
  std::int64_t lines_ = 1;  ///< of the one after it
};

/// What TextRecords leaves of a record and of the blank lines behind it, where it is read by its place.
std::string_view without_line_ends(std::string_view record);

}  // namespace lockstep
