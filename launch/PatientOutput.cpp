#include "launch/PatientOutput.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <string_view>

#include "common/Error.h"
#include "common/Text.h"

namespace lockstep {

namespace {

constexpr std::size_t kMostKept = std::size_t{1} << 20;

}  // namespace

PatientOutput::PatientOutput(std::ostream& stream, int file, std::ostream* note_to)
    : stream_(stream), before_(stream.rdbuf()), file_(file), note_to_(note_to) {
  stream_.flush();
  stream_.rdbuf(this);
}

PatientOutput::~PatientOutput() { stream_.rdbuf(before_); }

void PatientOutput::drain() {
  while (!kept_.empty()) {
    pollfd entry{.fd = file_, .events = POLLOUT, .revents = 0};
    if (::poll(&entry, 1, 0) <= 0) return;
    // A pipe that can be written has room for so much.
    const ssize_t count = ::write(file_, kept_.data(), std::min<std::size_t>(kept_.size(), PIPE_BUF));
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (count < 0) {
      kept_.clear();
      gone_ = errno == EPIPE || errno == EIO || errno == EBADF;  // a full disk may have room again
      if (gone_ && note_to_ != nullptr) {
        *note_to_ << with_errno("lockstep: nobody reads this program's output any more; the job goes on") << std::endl;
      }
      return;
    }
    kept_.erase(0, static_cast<std::size_t>(count));
  }
  if (left_out_ == 0) return;
  const std::size_t count = left_out_;
  left_out_ = 0;
  keep("\nlockstep: " + with_commas(static_cast<long long>(count)) +
       " bytes of output are left out here: nobody has read them in time\n");
}

PatientOutput::int_type PatientOutput::overflow(int_type character) {
  if (character != traits_type::eof()) {
    const char one = traits_type::to_char_type(character);
    keep({&one, 1});
  }
  return traits_type::not_eof(character);
}

std::streamsize PatientOutput::xsputn(const char* text, std::streamsize count) {
  keep({text, static_cast<std::size_t>(count)});
  return count;
}

int PatientOutput::sync() {
  drain();
  return 0;
}

void PatientOutput::keep(std::string_view text) {
  if (gone_) return;
  if (left_out_ > 0 || kept_.size() + text.size() > kMostKept) {
    left_out_ += text.size();
  } else {
    kept_ += text;
  }
}

}  // namespace lockstep
