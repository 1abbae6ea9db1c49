#include "engine/data/table/CsvOutput.h"

#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace lockstep {

namespace {

constexpr std::size_t kLinesBytes = 256 << 10;

template <typename Number>
void append_shortest(std::string& text, Number number) {
  std::array<char, 32> digits;
  text.append(digits.data(), std::to_chars(digits.begin(), digits.end(), number).ptr);
}

void append_as(std::string& text, ElementType type, double number) {
  if (type == ElementType::kInt64) return append_shortest(text, static_cast<std::int64_t>(number));
  if (type == ElementType::kFloat) return append_shortest(text, static_cast<float>(number));
  append_shortest(text, number);
}

void append_quoted(std::string& line, const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) {
    line += text;
    return;
  }
  line += '"';
  for (const char c : text) line.append(c == '"' ? 2 : 1, c);
  line += '"';
}

}  // namespace

CsvOutput::CsvOutput(std::filesystem::path path, std::vector<OutputColumn> columns)
    : columns_(std::move(columns)), file_(std::move(path)) {
  for (const OutputColumn& column : columns_) lines_ += (lines_.empty() ? "" : ",") + column.name;
  lines_ += '\n';
}

void CsvOutput::write(std::span<const double> row) {
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    if (i > 0) lines_ += ',';
    if (columns_[i].texts.empty()) {
      append_as(lines_, columns_[i].type, row[i]);
    } else {
      append_quoted(lines_, columns_[i].text_of(row[i]));
    }
  }
  lines_ += '\n';
  if (lines_.size() >= kLinesBytes) write_lines();
}

void CsvOutput::write_lines() {
  file_.write(lines_);
  lines_.clear();
}

void CsvOutput::close() {
  write_lines();
  file_.close();
}

}  // namespace lockstep
