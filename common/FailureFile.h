// Why a job failed, where SageMaker looks for it.
#pragma once

#include <filesystem>
#include <string>

namespace lockstep {

/// Writes `text` (its first 1,024 characters) to output_dir/failure unless that file exists: the first cause wins.
/// Never throws, because it is called when something has failed already; false when it could not write.
bool write_failure_file(const std::filesystem::path& output_dir, const std::string& text) noexcept;

}  // namespace lockstep
