#include "engine/data/table/CsvRecords.h"

#include <algorithm>
#include <cstring>

#include "common/Error.h"

namespace lockstep {

namespace {

constexpr std::size_t kBlock = 1 << 20;
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

// The first line feed outside quotes, or npos. A quote opens a cell only where one begins.
std::size_t end_of_record(std::string_view text, char delimiter) {
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

}  // namespace

bool CsvRecords::fill() {
  if (next_ > 0) {  // what was read is no longer needed
    std::memmove(buffer_.data(), buffer_.data() + next_, filled_ - next_);
    start_ += next_;
    filled_ -= next_;
    next_ = 0;
  }
  if (filled_ > kMostBytes) {
    throw InputError(file_.name() + ", line " + std::to_string(lines_) + ": a record of more than " +
                     std::to_string(kMostBytes >> 20) + " MiB; is there a quote that nothing closes?");
  }
  buffer_.resize(filled_ + kBlock);
  const std::size_t count = file_.read(buffer_.data() + filled_, kBlock);
  filled_ += count;
  return count > 0;
}

bool CsvRecords::next() {
  while (true) {
    std::size_t end = std::string_view::npos;
    while (true) {
      const std::string_view rest(buffer_.data() + next_, filled_ - next_);
      end = end_of_record(rest, delimiter_);
      if (end != std::string_view::npos || !fill()) break;
    }
    if (next_ == filled_) return false;
    const std::string_view rest(buffer_.data() + next_, filled_ - next_);
    begin_ = next_;
    length_ = std::min(end, rest.size());
    next_ = begin_ + std::min(length_ + 1, rest.size());
    line_ = lines_;
    lines_ += std::ranges::count(text(), '\n') + 1;
    if (start_ == 0 && begin_ == 0 && text().starts_with(kByteOrderMark)) {
      begin_ += kByteOrderMark.size();
      length_ -= kByteOrderMark.size();
    }
    while (length_ > 0 && text().back() == '\r') --length_;
    if (length_ > 0) return true;
  }
}

std::string CsvRecords::place() const { return file_.name() + ", line " + std::to_string(line_); }

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
