#include "common/File.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <utility>
#include <vector>

#include "common/Error.h"
#include "common/FreeSpace.h"
#include "common/RegularFile.h"
#include "common/SyncPoint.h"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

void sync_path(const fs::path& path, int flags) {
  FileDescriptor fd(::open(path.c_str(), flags | O_CLOEXEC));
  if (!fd || ::fsync(fd.get()) != 0) throw SystemError(disk_error("cannot sync " + path.string(), path));
}

/// A directory's lock, or why there is none.
struct DirectoryLock {
  explicit DirectoryLock(const fs::path& directory)
      : fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    if (fd && ::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return;
    taken = fd && errno == EWOULDBLOCK;
    fd = {};
  }

  FileDescriptor fd;
  bool taken = false;  ///< by another
};

// A directory that its owner may not read can still be removed by its owner.
void remove_as_owner(const fs::path& path) noexcept {
  std::error_code ignored;
  fs::permissions(path, fs::perms::owner_all, fs::perm_options::add | fs::perm_options::nofollow, ignored);
  fs::remove_all(path, ignored);
}

// Returns false when there is nothing (any more).
bool rename_if_there(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::rename(from, to, error);
  if (error == std::errc::no_such_file_or_directory) return false;
  if (error) throw SystemError(disk_error("cannot rename " + from.string() + " to " + to.string(), to, error));
  return true;
}

}  // namespace

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  if (this != &other) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = other.release();
  }
  return *this;
}

FileDescriptor::~FileDescriptor() {
  if (fd_ >= 0) ::close(fd_);
}

int FileDescriptor::release() { return std::exchange(fd_, -1); }

std::string read_file(const fs::path& path, std::uint64_t max_bytes) {
  const FileDescriptor fd = open_regular_file(path);
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) throw InputError(with_errno("cannot stat " + path.string()));
  const auto size = static_cast<std::uint64_t>(info.st_size);
  if (size > max_bytes) {
    throw InputError(path.string() + " has " + std::to_string(size) + " bytes; at most " + std::to_string(max_bytes) +
                     " are expected");
  }
  std::string content(size, '\0');
  std::size_t done = 0;
  while (done < size) {
    const ssize_t count = ::read(fd.get(), content.data() + done, size - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw InputError(with_errno("cannot read " + path.string()));
    if (count == 0) {
      throw InputError(path.string() + " became shorter while it was read: " + std::to_string(done) + " of " +
                       std::to_string(size) + " bytes");
    }
    done += static_cast<std::size_t>(count);
  }
  return content;
}

std::uintmax_t bytes_below(const fs::path& path) {
  if (!fs::is_directory(path)) return fs::file_size(path);
  std::uintmax_t bytes = 0;
  for (const auto& entry : fs::recursive_directory_iterator(path))
    bytes += entry.is_regular_file() ? entry.file_size() : 0;
  return bytes;
}

OutputFile::OutputFile(fs::path path) : path_(std::move(path)) {
  sync_point("file.create");
  // A pipe in its place would wait for a reader, now or when it is full.
  fd_ = FileDescriptor(::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0644));
  if (!fd_) throw SystemError(disk_error("cannot create " + path_.string(), path_));
  struct stat info {};
  if (::fstat(fd_.get(), &info) != 0 || S_ISFIFO(info.st_mode)) {
    throw SystemError("cannot write " + path_.string() + ": it is a pipe (FIFO), not a file");
  }
}

void OutputFile::write(std::span<const std::byte> bytes) {
  sync_point("file.write");
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd_.get(), bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw SystemError(disk_error("cannot write " + path_.string(), path_));
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
}

void OutputFile::write(std::string_view text) { write(std::as_bytes(std::span(text.data(), text.size()))); }

void OutputFile::close() {
  sync_point("file.sync");
  if (::fsync(fd_.get()) != 0) throw SystemError(disk_error("cannot sync " + path_.string(), path_));
  if (::close(fd_.release()) != 0) throw SystemError(disk_error("cannot close " + path_.string(), path_));
  sync_point("file.complete");
}

std::string StagingDirectory::prefix_of(std::string_view owner) {
  return owner.empty() ? ".partial-" : ".partial-" + std::string(owner) + "-";
}

StagingDirectory::StagingDirectory(fs::path destination, std::string_view owner)
    : destination_(std::move(destination)) {
  std::error_code error;
  fs::create_directories(destination_, error);
  if (error) {
    throw InputError(disk_error("cannot make the directory " + destination_.string(), destination_, error));
  }
  sync_point("staging.make");
  // Again when somebody has taken it for abandoned, before it was locked.
  for (int attempt = 0;; ++attempt) {
    if (attempt == 10)
      throw SystemError("another process removes what is made in the directory " + destination_.string());
    std::string pattern = (destination_ / (prefix_of(owner) + "XXXXXX")).string();
    if (::mkdtemp(pattern.data()) == nullptr) {
      throw InputError(disk_error("cannot write into the directory " + destination_.string(), destination_));
    }
    path_ = pattern;
    DirectoryLock lock(path_);
    lock_ = std::move(lock.fd);
    if (!lock.taken && fs::status(path_, error).type() != fs::file_type::not_found) break;
  }
  sync_point("staging.made");
}

StagingDirectory::~StagingDirectory() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

void remove_abandoned_staging(const fs::path& destination, std::string_view owner) noexcept {
  try {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(destination)) {
      if (entry.path().filename().string().starts_with(StagingDirectory::prefix_of(owner))) {
        found.push_back(entry.path().string());
      }
    }
    std::ranges::sort(found);
    std::string live;  // what it has set aside has its name, and more
    for (const std::string& path : found) {
      if (!live.empty() && path.starts_with(live + "-")) continue;
      const DirectoryLock lock(path);  // until it is gone
      if (lock.taken) {
        live = path;
      } else {
        remove_as_owner(path);
      }
    }
  } catch (const std::exception&) {
    return;  // there is no such directory, or it is not ours to change
  }
}

void StagingDirectory::publish() {
  sync_point("staging.sync");
  for (const auto& entry : fs::recursive_directory_iterator(path_)) {
    if (!entry.is_symlink()) sync_path(entry.path(), entry.is_directory() ? O_RDONLY | O_DIRECTORY : O_RDONLY);
  }
  for (const auto& entry : fs::directory_iterator(path_)) {
    const fs::path target = destination_ / entry.path().filename();
    // rename(2) replaces only files by files. A directory that may not be read cannot be removed either, but its name
    // can be taken from it: it goes where leftovers are.
    const fs::path old = path_.string() + "-" + target.filename().string();
    std::error_code ignored;
    sync_point("staging.set_aside");
    const bool aside = (entry.is_directory() || fs::is_directory(target, ignored)) && rename_if_there(target, old);
    std::error_code error;
    sync_point("staging.rename");
    fs::rename(entry.path(), target, error);
    if (error) {
      if (aside && !fs::exists(target, ignored)) fs::rename(old, target, ignored);
      throw SystemError(disk_error("cannot rename " + entry.path().string() + " to " + target.string(), target, error));
    }
    sync_point("staging.renamed");
    if (aside) remove_as_owner(old);
  }
  sync_path(destination_, O_RDONLY | O_DIRECTORY);
  sync_point("staging.published");
}

}  // namespace lockstep
