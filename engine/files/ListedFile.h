// Files of a directory, as a list of what was written there names them: to tell later whether they are whole.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace lockstep {

struct ListedFile {
  std::string name;  ///< within the directory: "variables/variables.index"
  std::uint64_t bytes = 0;
  std::string crc32c{};  ///< 8 hexadecimal digits (common/Crc32c.h)
};

/// All files below a directory, in the order of their names. Throws InputError for one that cannot be read.
std::vector<ListedFile> list_files(const std::filesystem::path& directory);

/// Looks at sizes alone. Throws InputError, naming the file, for one that is missing or of another size.
void check_sizes(const std::filesystem::path& directory, const std::vector<ListedFile>& files);
/// Reads each file. Throws InputError, naming the file, for one that is missing or does not hold what was written.
void check_contents(const std::filesystem::path& directory, const std::vector<ListedFile>& files);

}  // namespace lockstep
