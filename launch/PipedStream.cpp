#include "launch/PipedStream.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <utility>

#include "common/Error.h"
#include "common/Text.h"

namespace lockstep {

namespace {

constexpr std::size_t kReadBytes = 1 << 20;
// Whoever calls has more to look at between two turns, which costs more than a read of what a writer gives at once.
constexpr std::chrono::milliseconds kReadingTime{20};
constexpr int kWaitForMore = 1;  // ms

}  // namespace

PipedStream::PipedStream(Source source, std::filesystem::path directory)
    : source_(std::move(source)), directory_(std::move(directory)), memory_(kReadBytes) {
  if (source_.wrapped) {
    objects_.emplace(name(), directory_);
  } else {
    file_.emplace(directory_ / source_.fifo.filename());
  }
}

void PipedStream::open() {
  fd_ = FileDescriptor(::open(source_.fifo.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (!fd_) {
    if (errno == ENOENT || errno == EINTR) return;
    throw InputError(with_errno(name() + " cannot be opened"));
  }
  struct stat about {};
  if (::fstat(fd_.get(), &about) != 0 || !S_ISFIFO(about.st_mode)) {
    throw InputError(name() +
                     " is no FIFO, and the channel's TrainingInputMode is Pipe; for files set it to File or "
                     "FastFile");
  }
  ::fcntl(fd_.get(), F_SETPIPE_SZ, static_cast<int>(kReadBytes));  // fewer turns, where the system allows it
}

void PipedStream::write(std::span<const std::byte> bytes) {
  try {
    objects_ ? objects_->take(bytes) : file_->write(bytes);
  } catch (const SystemError& error) {
    throw SystemError(name() + ": after " + with_commas(static_cast<long long>(bytes_)) + " bytes: " + error.what() +
                      ". All of a channel that is streamed is copied to this host: give more room (the volume's size, "
                      "TMPDIR), or set TrainingInputMode to FastFile");
  }
}

void PipedStream::end() {
  if (objects_) objects_->end();
  if (bytes_ == 0 && !source_.may_be_empty) {
    throw InputError(name() + " has ended without a byte; does the channel's S3 prefix hold any object?");
  }
  file_.reset();
  fd_ = FileDescriptor();
}

// Returns whether the stream has ended. Before a writer comes nothing is there to be read, which is no end: poll tells
// the two apart.
bool PipedStream::read() {
  pollfd entry = {.fd = fd_.get(), .events = POLLIN, .revents = 0};
  if (::poll(&entry, 1, kWaitForMore) <= 0 || entry.revents == 0) return false;
  const ssize_t count = ::read(fd_.get(), memory_.data(), memory_.size());
  if (count < 0) {
    if (errno == EAGAIN || errno == EINTR) return false;
    throw SystemError(with_errno(name() + " cannot be read"));
  }
  if (count == 0) return true;
  write(std::span(memory_).first(static_cast<std::size_t>(count)));
  bytes_ += static_cast<std::uint64_t>(count);
  moved_ = std::chrono::steady_clock::now();
  return false;
}

bool PipedStream::pump() {
  if (!fd_) open();
  const auto end_of_turn = std::chrono::steady_clock::now() + kReadingTime;
  for (bool more = static_cast<bool>(fd_); more && std::chrono::steady_clock::now() < end_of_turn;) {
    const std::uint64_t before = bytes_;
    if (read()) {
      end();
      return true;
    }
    more = bytes_ > before;
  }
  if (std::chrono::steady_clock::now() - moved_ < source_.patience) return false;
  const double seconds = std::chrono::duration<double>(source_.patience).count();
  throw InputError(
      name() +
      (!fd_ ? " has not come within "
       : bytes_ > 0
           ? " stands still after " + with_commas(static_cast<long long>(bytes_)) + " bytes: none has come for "
           : " has brought no byte within ") +
      format("%g s (pipe_timeout)", seconds) + (bytes_ > 0 ? "" : "; does the channel's S3 prefix hold any object?"));
}

}  // namespace lockstep
