#include "common/ReplaceFile.h"

#include <system_error>

#include "common/Error.h"
#include "common/File.h"

namespace lockstep {

void replace_file(const std::filesystem::path& path, std::string_view text) {
  const std::filesystem::path beside = path.parent_path() / ("." + path.filename().string() + ".new");
  std::error_code error;
  try {
    OutputFile file(beside);
    file.write(text);
    file.close();
    std::filesystem::rename(beside, path, error);
    if (error) throw SystemError("cannot rename " + beside.string() + " to " + path.string() + ": " + error.message());
  } catch (const Error&) {
    std::filesystem::remove(beside, error);
    throw;
  }
}

}  // namespace lockstep
