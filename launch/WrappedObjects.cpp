#include "launch/WrappedObjects.h"

#include <algorithm>

#include "common/Error.h"
#include "common/Text.h"

namespace lockstep {

void WrappedObjects::refuse(std::uint64_t byte, const std::string& what) const {
  throw InputError(origin_ + ", at byte " + std::to_string(byte) + ": " + what);
}

void WrappedObjects::begin_part() {
  header_bytes_ = 0;
  const std::uint64_t at = taken_ - RecordIoHeader::kBytes;
  const auto header = recordio_header(header_);
  if (!header) {
    refuse(at, "expected record " + std::to_string(objects_) +
                   " of RecordIO, as the channel's RecordWrapperType says, and found no header of one; set "
                   "RecordWrapperType to None if the stream is not wrapped");
  }
  if (header->begins() == file_.has_value()) {
    refuse(at, file_ ? "a record begins, and record " + std::to_string(objects_ - 1) + " has not ended"
                     : "a record goes on that has not begun");
  }
  if (header->begins()) {
    record_begin_ = at;
    file_.emplace(directory_ / format("object-%09lld", static_cast<long long>(objects_++)));
  } else {
    file_->write(kRecordIoMagic);
  }
  data_left_ = header->length;
  zeros_left_ = header->padded() - header->length;
  last_part_ = header->ends();
}

void WrappedObjects::take(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    std::size_t count = 0;
    if (data_left_ > 0) {
      count = std::min<std::size_t>(data_left_, bytes.size());
      file_->write(bytes.first(count));
      data_left_ -= static_cast<std::uint32_t>(count);
    } else if (zeros_left_ > 0) {
      count = std::min<std::size_t>(zeros_left_, bytes.size());
      zeros_left_ -= static_cast<std::uint32_t>(count);
    } else {
      count = std::min(header_.size() - header_bytes_, bytes.size());
      std::ranges::copy(bytes.first(count), header_.begin() + static_cast<std::ptrdiff_t>(header_bytes_));
      header_bytes_ += count;
    }
    taken_ += count;
    bytes = bytes.subspan(count);
    if (header_bytes_ == header_.size()) begin_part();
    if (data_left_ == 0 && zeros_left_ == 0 && last_part_ && header_bytes_ == 0) file_.reset();
  }
}

void WrappedObjects::end() const {
  if (file_) {
    refuse(taken_, "it ends in the middle of record " + std::to_string(objects_ - 1) + ", which begins at byte " +
                       std::to_string(record_begin_) + ": whoever wrote it has stopped early");
  }
  if (header_bytes_ > 0) {
    refuse(taken_, "it ends in the middle of the header of record " + std::to_string(objects_) +
                       ": whoever wrote it has stopped early");
  }
}

}  // namespace lockstep
