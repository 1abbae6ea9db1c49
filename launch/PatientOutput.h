// Writing to whoever reads this program's output, without depending on them.
#pragma once

#include <cstddef>
#include <ostream>
#include <streambuf>
#include <string>

namespace lockstep {

/// Stands behind a standard stream as long as it lives. What is written to the stream never waits: it is kept until its
/// reader takes it, and beyond a mebibyte left out. A reader that goes away ends nothing; it is noted once.
///
/// SIGPIPE must be ignored when something is written. `drain` is to be called when `waiting_file` can be written; what
/// is kept at the end of this object is lost.
class PatientOutput final : private std::streambuf {
 public:
  /// `file`: what the stream writes to. `note_to`: another stream, for saying that nobody reads this one any more.
  PatientOutput(std::ostream& stream, int file, std::ostream* note_to);
  PatientOutput(const PatientOutput&) = delete;
  PatientOutput& operator=(const PatientOutput&) = delete;
  ~PatientOutput() override;

  /// Writes what the reader takes now.
  void drain();
  /// -1 when nothing is left to write.
  int waiting_file() const { return kept_.empty() ? -1 : file_; }

 private:
  int_type overflow(int_type character) override;
  std::streamsize xsputn(const char* text, std::streamsize count) override;
  int sync() override;
  void keep(std::string_view text);

  std::ostream& stream_;
  std::streambuf* before_;
  int file_;
  std::ostream* note_to_;
  std::string kept_;
  std::size_t left_out_ = 0;
  bool gone_ = false;  ///< the reader
};

}  // namespace lockstep
