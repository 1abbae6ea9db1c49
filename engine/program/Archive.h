// Programs as .pt2 archives: the files that torch.export.save writes and torch.export.load reads.
//
// Source of the layout: torch 2.11, torch/export/pt2_archive. The archive is a zip whose entries are stored, not
// compressed: models/model.json (the graph), data/weights/* and data/constants/* (raw tensors), and a configuration for
// each of the two that says which file and which view of it a name stands for.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "engine/program/Program.h"

namespace lockstep {

/// Throws InputError naming the file for one that is missing, truncated, inconsistent or of a version we do not know,
/// and for one with an operator that may do more than compute (require_pure), unless it is among `allowed_operators`.
/// Every size is checked against the archive before it is used; only tensors that the graph names are read.
Program read_archive(const std::filesystem::path& path, const std::vector<std::string>& allowed_operators = {});

/// Writes all tensors contiguous, tied ones once. `extra_files`: texts by the names that torch.export.load's argument
/// of that name has for them. Throws SystemError; the file may then be incomplete.
void write_archive(const Program& program, const std::filesystem::path& path,
                   const std::map<std::string, std::string>& extra_files = {});

}  // namespace lockstep
