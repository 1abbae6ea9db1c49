#include "engine/data/ChannelFiles.h"

#include <linux/magic.h>
#include <sys/vfs.h>

#include <algorithm>
#include <set>

#include "common/Error.h"
#include "common/Text.h"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kMostNamed = 10;

// /proc and /sys: the kernel's state in the form of files. Links of /proc lead to the whole machine, and come and go.
bool is_of_the_kernel(const fs::path& directory) {
  struct statfs about {};
  return ::statfs(directory.c_str(), &about) == 0 && (about.f_type == PROC_SUPER_MAGIC || about.f_type == SYSFS_MAGIC);
}

class Listing {
 public:
  explicit Listing(const fs::path& directory) : channel_{.directory = directory} {
    if (is_of_the_kernel(directory)) {
      throw InputError(channel_.origin() + " must hold data files; this directory holds the kernel's state");
    }
    list(directory);
    std::ranges::sort(channel_.files);
    std::ranges::sort(channel_.passed_over.names);
  }
  ChannelFiles channel() && { return std::move(channel_); }

 private:
  void list(const fs::path& directory) {
    try {
      if (!listed_.insert(fs::canonical(directory)).second) return;
      for (const auto& entry : fs::directory_iterator(directory)) add(entry);
    } catch (const fs::filesystem_error& error) {
      throw InputError("cannot read the channel directory " + directory.string() + ": " + error.code().message());
    }
  }

  void add(const fs::directory_entry& entry) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(".") || name.starts_with("_")) {
      ++channel_.passed_over.hidden;
      return;
    }
    std::error_code error;
    const fs::file_status what = entry.status(error);
    if (what.type() == fs::file_type::none) {
      throw InputError("cannot look at " + entry.path().string() + " in the channel directory: " + error.message());
    }
    if (fs::is_directory(what)) {
      is_of_the_kernel(entry.path()) ? pass_over(entry.path(), "the kernel's state") : list(entry.path());
    } else if (what.type() == fs::file_type::not_found) {
      pass_over(entry.path(), entry.is_symlink() ? "a link whose target is not there" : "gone");
    } else if (!fs::is_regular_file(what)) {
      pass_over(entry.path(), "no file");
    } else if (entry.file_size() == 0) {
      pass_over(entry.path(), "empty");
    } else {
      channel_.files.push_back(entry.path());
    }
  }

  void pass_over(const fs::path& path, const std::string& why) {
    channel_.passed_over.names.push_back(path.lexically_relative(channel_.directory).string() + " (" + why + ")");
  }

  ChannelFiles channel_;
  std::set<fs::path> listed_{};  ///< directories
};

}  // namespace

std::string PassedOver::text() const {
  std::vector<std::string> parts;
  if (hidden > 0) parts.push_back(std::to_string(hidden) + (hidden == 1 ? " hidden file" : " hidden files"));
  if (!names.empty()) {
    const std::size_t named = std::min(names.size(), kMostNamed);
    std::vector<std::string> some(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(named));
    if (named < names.size()) some.push_back("and " + std::to_string(names.size() - named) + " more");
    parts.push_back("other files: " + join(some, ", "));
  }
  return join(parts, " and ");
}

ChannelFiles list_channel(const fs::path& directory) { return Listing(directory).channel(); }

}  // namespace lockstep
