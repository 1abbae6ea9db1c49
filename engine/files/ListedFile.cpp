#include "engine/files/ListedFile.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <span>

#include "common/Crc32c.h"
#include "common/Error.h"
#include "common/File.h"
#include "common/RegularFile.h"
#include "common/Text.h"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

// In pieces, which stay in the processor's cache.
std::string crc32c_of(const fs::path& path) {
  const FileDescriptor file = open_regular_file(path);
  std::vector<std::byte> piece(std::size_t{64} << 10);
  std::uint32_t checksum = 0;
  for (;;) {
    const ssize_t count = ::read(file.get(), piece.data(), piece.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw InputError(with_errno("cannot read " + path.string()));
    if (count == 0) return format("%08x", checksum);
    checksum = crc32c(std::span(piece).first(static_cast<std::size_t>(count)), checksum);
  }
}

}  // namespace

std::vector<ListedFile> list_files(const fs::path& directory) {
  std::vector<ListedFile> files;
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    if (!entry.is_regular_file()) continue;
    files.push_back({.name = entry.path().lexically_relative(directory).generic_string(),
                     .bytes = entry.file_size(),
                     .crc32c = crc32c_of(entry.path())});
  }
  std::ranges::sort(files, {}, &ListedFile::name);
  return files;
}

void check_sizes(const fs::path& directory, const std::vector<ListedFile>& files) {
  for (const ListedFile& file : files) {
    const fs::path path = directory / file.name;
    std::error_code error;
    const std::uint64_t bytes = fs::is_regular_file(path, error) ? fs::file_size(path, error) : 0;
    if (error) throw InputError(path.string() + ": " + error.message());
    if (bytes != file.bytes) {
      throw InputError(path.string() + " has " + with_commas(static_cast<long long>(bytes)) + " bytes; " +
                       with_commas(static_cast<long long>(file.bytes)) + " were written");
    }
  }
}

void check_contents(const fs::path& directory, const std::vector<ListedFile>& files) {
  check_sizes(directory, files);
  for (const ListedFile& file : files) {
    const fs::path path = directory / file.name;
    const std::string found = crc32c_of(path);
    if (found == file.crc32c) continue;
    throw InputError(path.string() + " has the checksum " + found + "; what was written has " + file.crc32c);
  }
}

}  // namespace lockstep
