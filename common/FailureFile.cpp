#include "common/FailureFile.h"

#include <fcntl.h>
#include <unistd.h>

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

}  // namespace

bool write_failure_file(const std::filesystem::path& output_dir, const std::string& text) noexcept {
  try {
    std::error_code error;
    std::filesystem::create_directories(output_dir, error);
    const std::string path = (output_dir / "failure").string();
    const FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
    if (!file) return false;
    const std::string cut = first_characters(text, kMaxCharacters);
    return ::write(file.get(), cut.data(), cut.size()) == static_cast<ssize_t>(cut.size());
  } catch (...) {
    return false;
  }
}

}  // namespace lockstep
