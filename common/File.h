// Files and directories whose every write, sync and close is checked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace lockstep {

/// Owns a file descriptor.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(other.release()) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;
  ~FileDescriptor();

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release();

 private:
  int fd_ = -1;
};

/// The whole content of a regular file. Throws InputError when it cannot be read or exceeds `max_bytes`.
std::string read_file(const std::filesystem::path& path, std::uint64_t max_bytes);

/// Bytes of a regular file, or of all regular files below a directory.
std::uintmax_t bytes_below(const std::filesystem::path& path);

/// A file being written from its start. Call `close` when all is written: it syncs, closes and reports errors; a file
/// destroyed without it may be incomplete. Throws SystemError naming the path.
class OutputFile {
 public:
  explicit OutputFile(std::filesystem::path path);
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  void close();

 private:
  std::filesystem::path path_;
  FileDescriptor fd_;
};

/// A hidden directory beside the final place, on the same volume, in which outputs are prepared. `publish` syncs it and
/// renames each of its entries into the final directory, replacing older ones of that name; without `publish` the
/// destructor removes it, so that nothing half-written stays. The final directory is made if it is missing (it may be a
/// mount point: it is never renamed itself). While this exists the process holds a lock on the directory (flock(2)): no
/// other process of this host takes it for abandoned, where the volume has such locks.
class StagingDirectory {
 public:
  /// With which its name begins: `.partial-`, or `.partial-OWNER-` when there is an owner.
  static std::string prefix_of(std::string_view owner);

  /// Throws InputError when `destination` cannot be made or written.
  explicit StagingDirectory(std::filesystem::path destination, std::string_view owner = "");
  StagingDirectory(const StagingDirectory&) = delete;
  StagingDirectory& operator=(const StagingDirectory&) = delete;
  ~StagingDirectory();

  const std::filesystem::path& path() const { return path_; }
  void publish();

 private:
  std::filesystem::path destination_;
  std::filesystem::path path_;
  FileDescriptor lock_;
};

/// Removes what staging directories of processes that were killed have left in `destination`: those of `owner`, or all.
void remove_abandoned_staging(const std::filesystem::path& destination, std::string_view owner = "") noexcept;

}  // namespace lockstep
