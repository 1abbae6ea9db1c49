// How much may still be written somewhere.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>

namespace lockstep {

/// Bytes that this process may still write on the volume of `path`, of which the last parts need not be there yet;
/// nothing when the volume does not say.
std::optional<std::uintmax_t> free_bytes(const std::filesystem::path& path);

/// Throws SystemError, naming both, unless so many bytes are free on the volume of `path`.
void require_room(const std::filesystem::path& path, std::uintmax_t bytes);

/// `what: reason`, and what is free on the volume of `path` when the reason is that it is full.
std::string disk_error(const std::string& what, const std::filesystem::path& path, const std::error_code& error);
/// The same of errno: call it before anything can change that.
std::string disk_error(const std::string& what, const std::filesystem::path& path);

}  // namespace lockstep
