#include "engine/data/records/HeaderWindow.h"

#include <algorithm>

namespace lockstep {

std::span<const std::byte> HeaderWindow::at(std::uint64_t offset, std::size_t count) {
  const std::uint64_t there = file_.size() - std::min(offset, file_.size());
  count = std::min<std::uint64_t>(count, there);
  if (offset < begin_ || offset + count > begin_ + filled_) {
    const std::size_t wanted = offset - last_ <= kNear ? kBytes : count;
    filled_ = std::min<std::uint64_t>(wanted, there);
    begin_ = offset;
    file_.read_at(offset, std::span(bytes_).first(filled_));
  }
  last_ = offset;
  return std::span(bytes_).subspan(offset - begin_, count);
}

}  // namespace lockstep
