// A file that readers find whole at any time.
#pragma once

#include <filesystem>
#include <string_view>

namespace lockstep {

/// Puts a file in the place of the one there: whoever reads finds the old text or the new one, also when this process
/// is killed; then a hidden file beside it may stay, until the next call. Throws SystemError naming the path.
void replace_file(const std::filesystem::path& path, std::string_view text);

}  // namespace lockstep
