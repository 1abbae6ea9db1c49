#include "common/FailureFile.h"

#include <fcntl.h>
#include <unistd.h>

#include "common/Error.h"
#include "common/File.h"

namespace lockstep {

namespace {

constexpr std::size_t kMaxCharacters = 1024;

// Cuts UTF-8 text after a number of characters, not bytes: every byte but a continuation (10xxxxxx) begins one.
std::string first_characters(const std::string& text, std::size_t count) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool begins = (static_cast<unsigned char>(text[i]) & 0xC0) != 0x80;
    if (begins && count-- == 0) return text.substr(0, i);
  }
  return text;
}

FileDescriptor new_file(const std::filesystem::path& output_dir, const char* name) {
  std::error_code error;
  std::filesystem::create_directories(output_dir, error);
  return FileDescriptor(::open((output_dir / name).c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
}

}  // namespace

bool write_failure_file(const std::filesystem::path& output_dir, const std::string& text) noexcept {
  try {
    const FileDescriptor file = new_file(output_dir, "failure");
    if (!file) return false;
    const std::string cut =
        first_characters(text.empty() ? "the job failed, and nothing said why" : text, kMaxCharacters);
    return ::write(file.get(), cut.data(), cut.size()) == static_cast<ssize_t>(cut.size());
  } catch (...) {
    return false;
  }
}

void write_success_file(const std::filesystem::path& output_dir) noexcept {
  try {
    if (!std::filesystem::exists(output_dir / "failure")) new_file(output_dir, "success");
  } catch (...) {  // NOLINT(bugprone-empty-catch): see the header
  }
}

void remove_ending_files(const std::filesystem::path& output_dir) {
  for (const char* name : {"failure", "success"}) {
    std::error_code error;
    // A directory that is mounted read-only refuses also to remove what is not there.
    if (std::filesystem::symlink_status(output_dir / name, error).type() == std::filesystem::file_type::not_found) {
      continue;
    }
    std::filesystem::remove(output_dir / name, error);
    if (error) {
      throw InputError("cannot remove an earlier job's " + (output_dir / name).string() + ": " + error.message() +
                       "; it would be taken for this one's");
    }
  }
}

std::string read_failure_file(const std::filesystem::path& output_dir) {
  constexpr std::uint64_t kMost = 64 << 10;
  try {
    return read_file(output_dir / "failure", kMost);
  } catch (const InputError&) {
    return "";
  }
}

}  // namespace lockstep
