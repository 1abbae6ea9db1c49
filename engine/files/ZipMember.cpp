#include "engine/files/ZipMember.h"

#include <algorithm>
#include <new>
#include <span>
#include <utility>

#include "common/Error.h"

namespace lockstep {

namespace {

constexpr std::uint64_t kPiece = 256 << 10;  // still in a core's cache when its checksum is computed

}  // namespace

ZipMember::ZipMember(std::string name, const PlainFile& file, const ZipRecord& record, std::uint64_t data)
    : InputFile(std::move(name)), file_(file), record_(record), data_(data) {
  if (record_.deflated && ::inflateInit2(&stream_, -MAX_WBITS) != Z_OK) throw std::bad_alloc();
}

ZipMember::~ZipMember() {
  if (record_.deflated) ::inflateEnd(&stream_);
}

std::size_t ZipMember::read_some(void* out, std::size_t count) {
  if (checked_) return 0;
  auto* const bytes = static_cast<std::byte*>(out);
  const auto wanted = static_cast<std::size_t>(std::min({std::uint64_t{count}, kPiece, record_.unpacked - made_}));
  const std::size_t some = wanted == 0 ? 0 : record_.deflated ? inflate_some(bytes, wanted) : take_some(bytes, wanted);
  if (some == 0 && wanted > 0) refuse("it unpacks to fewer bytes than it says");
  made_ += some;
  checksum_ = ::crc32_z(checksum_, reinterpret_cast<const Bytef*>(bytes), some);
  if (made_ == record_.unpacked) check_end();
  return some;
}

std::size_t ZipMember::take_some(std::byte* out, std::size_t count) {
  const std::size_t found = file_.read_some_at(data_ + taken_, std::span(out, count));
  if (found == 0) refuse("it is truncated");
  taken_ += found;
  return found;
}

std::size_t ZipMember::inflate_some(std::byte* out, std::size_t count) {
  stream_.next_out = reinterpret_cast<Bytef*>(out);
  stream_.avail_out = static_cast<uInt>(count);
  while (stream_.avail_out == count && !stream_ended_) {
    if (stream_.avail_in == 0 && taken_ < record_.packed) {
      input_.resize(static_cast<std::size_t>(std::min(kPiece, record_.packed - taken_)));
      stream_.avail_in = static_cast<uInt>(take_some(input_.data(), input_.size()));
      stream_.next_in = reinterpret_cast<Bytef*>(input_.data());
    }
    const int code = ::inflate(&stream_, Z_NO_FLUSH);
    if (code == Z_MEM_ERROR) throw std::bad_alloc();
    if (code != Z_OK && code != Z_STREAM_END) refuse("it cannot be unpacked");
    stream_ended_ = code == Z_STREAM_END;
  }
  return count - stream_.avail_out;
}

void ZipMember::check_end() {
  checked_ = true;
  std::byte beyond{};
  if (record_.deflated && inflate_some(&beyond, 1) > 0) refuse("it unpacks to more bytes than it says");
  if (checksum_ != record_.checksum) refuse("its bytes are not those of its checksum (CRC-32)");
}

void ZipMember::refuse(const std::string& cause) const {
  throw InputError(name() + " is damaged: " + cause + "; copy or save it again");
}

}  // namespace lockstep
