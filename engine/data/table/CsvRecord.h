// How a record of a CSV file is cut.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep {

/// The first line feed outside quotes, or npos: a quoted cell may hold line ends (RFC 4180). A quote opens a cell only
/// where one begins.
std::size_t end_of_csv_record(std::string_view text, char delimiter);

/// The cells of a record. Quotes around a cell are taken off, and two within it are one. Cells that are not as they
/// stand in the record lie in `unquoted`. Throws InputError for text behind a closing quote and for a quote that
/// nothing closes.
void split_csv(std::string_view record, char delimiter, std::vector<std::string_view>& cells, std::string& unquoted);

/// What stands between the cells of a record most often: a comma, a tab, a semicolon or a bar; a comma for a record of
/// one cell.
char delimiter_of(std::string_view record);

}  // namespace lockstep
