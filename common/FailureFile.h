// How a job ended, where SageMaker looks for it.
#pragma once

#include <filesystem>
#include <string>

namespace lockstep {

/// Writes `text` (its first 1,024 characters) to output_dir/failure unless that file exists: the first cause wins.
/// Never throws, because it is called when something has failed already; false when it could not write.
bool write_failure_file(const std::filesystem::path& output_dir, const std::string& text) noexcept;

/// Makes an empty file output_dir/success, as SageMaker's own toolkit does, unless there is a `failure`. Never throws:
/// the job has succeeded also where this cannot be written.
void write_success_file(const std::filesystem::path& output_dir) noexcept;

/// Removes both, of an earlier job. Throws InputError when one stays: it would be taken for this job's.
void remove_ending_files(const std::filesystem::path& output_dir);

/// What `failure` says, or "".
std::string read_failure_file(const std::filesystem::path& output_dir);

}  // namespace lockstep
