#include "engine/data/table/CsvRecord.h"

#include <algorithm>

#include "common/Error.h"

namespace lockstep {

std::size_t end_of_csv_record(std::string_view text, char delimiter) {
  const std::size_t line = text.find('\n');
  if (text.substr(0, line).find('"') == std::string_view::npos) return line;
  bool quoted = false;
  bool cell_begins = true;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      quoted = c != '"';  // two in a row close and open again
      cell_begins = !quoted;
    } else if (c == '\n') {
      return i;
    } else {
      quoted = cell_begins && c == '"';
      cell_begins = c == delimiter;
    }
  }
  return std::string_view::npos;
}

void split_csv(std::string_view record, char delimiter, std::vector<std::string_view>& cells, std::string& unquoted) {
  cells.clear();
  unquoted.clear();
  unquoted.reserve(record.size());  // cells refer to it
  for (std::size_t at = 0;; ++at) {
    if (at == record.size() || record[at] != '"') {
      const std::size_t end = std::min(record.find(delimiter, at), record.size());
      cells.push_back(record.substr(at, end - at));
      at = end;
    } else {
      const std::size_t from = unquoted.size();
      const std::string cell = "cell " + std::to_string(cells.size() + 1);
      while (true) {
        const std::size_t quote = record.find('"', at + 1);
        if (quote == std::string_view::npos) throw InputError("nothing closes the quote of " + cell);
        unquoted += record.substr(at + 1, quote - at - 1);
        at = quote + 1;
        if (at == record.size() || record[at] != '"') break;
        unquoted += '"';
      }
      if (at < record.size() && record[at] != delimiter) {
        throw InputError("text follows the closing quote of " + cell + "; a quote within quotes is written twice");
      }
      cells.push_back(std::string_view(unquoted).substr(from));
    }
    if (at == record.size()) return;
  }
}

char delimiter_of(std::string_view record) {
  char best = ',';
  std::ptrdiff_t most = 0;
  for (const char candidate : {',', '\t', ';', '|'}) {
    bool quoted = false;
    std::ptrdiff_t count = 0;
    for (const char c : record) {
      if (c == '"') quoted = !quoted;
      if (c == candidate && !quoted) ++count;
    }
    if (count > most) {
      best = candidate;
      most = count;
    }
  }
  return best;
}

}  // namespace lockstep
