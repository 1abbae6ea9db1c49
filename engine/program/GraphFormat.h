// A graph as model.json of a .pt2 archive, the format of torch.export.
//
// Source of the format: torch 2.11, torch/_export/serde/schema.py, schema version 8.
#pragma once

#include <string>

#include "engine/program/Graph.h"

namespace lockstep {

/// Reads model.json. `origin` names the file in errors. Throws InputError for what is not such a document, is of an
/// unknown schema version, or was not exported for training.
Graph read_graph(const std::string& json, const std::string& origin);

/// Writes it back: every field that was read, and changed nodes and arguments.
std::string write_graph(const Graph& graph);

}  // namespace lockstep
