#include "engine/data/table/TextRecords.h"

#include <algorithm>
#include <cstring>

#include "common/Error.h"

namespace lockstep {

namespace {

constexpr std::size_t kBlock = 1 << 20;
}  // namespace

bool TextRecords::fill() {
  if (next_ > 0) {  // what was read is no longer needed
    std::memmove(buffer_.data(), buffer_.data() + next_, filled_ - next_);
    start_ += next_;
    filled_ -= next_;
    next_ = 0;
  }
  if (filled_ > kMostBytes) {
    throw InputError(file_.name() + ", line " + std::to_string(lines_) + ": a record of more than " +
                     std::to_string(kMostBytes >> 20) + " MiB; is there a quote that nothing closes, or no line end?");
  }
  buffer_.resize(filled_ + kBlock);
  const std::size_t count = file_.read(buffer_.data() + filled_, kBlock);
  filled_ += count;
  return count > 0;
}

bool TextRecords::next() {
  if (start_ == 0 && filled_ == 0 && fill()) {
    next_ = std::string_view(buffer_.data(), filled_).starts_with(kByteOrderMark) ? kByteOrderMark.size() : 0;
  }
  while (true) {
    std::size_t end = std::string_view::npos;
    while (true) {
      const std::string_view rest(buffer_.data() + next_, filled_ - next_);
      end = end_(rest);
      if (end != std::string_view::npos || !fill()) break;
    }
    if (next_ == filled_) return false;
    const std::string_view rest(buffer_.data() + next_, filled_ - next_);
    begin_ = next_;
    length_ = std::min(end, rest.size());
    next_ = begin_ + std::min(length_ + 1, rest.size());
    line_ = lines_;
    lines_ += std::ranges::count(text(), '\n') + 1;
    while (length_ > 0 && text().back() == '\r') --length_;
    if (length_ > 0) return true;
  }
}

std::string_view without_line_ends(std::string_view record) {
  record.remove_suffix(record.size() - std::min(record.find_last_not_of("\r\n") + 1, record.size()));
  return record;
}

std::string TextRecords::place() const { return file_.name() + ", line " + std::to_string(line_); }

}  // namespace lockstep
