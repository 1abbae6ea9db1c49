#include "engine/artifacts/Pt2Artifact.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/files/ZipFile.h"
#include "engine/program/Archive.h"

namespace lockstep {

void Pt2Artifact::write(const Program& program, const std::filesystem::path& directory) const {
  write_archive(program, directory / entry(), {{"metadata.json", nlohmann::json(options().metadata).dump()}});
}

Artifact::Model Pt2Artifact::read_back(const Program& program, const std::filesystem::path& directory) const {
  std::vector<std::string> operators;  // what was trained may be read
  for (const Node& node : program.graph().nodes) {
    operators.push_back(node.target.substr(std::min(node.target.size(), std::string("torch.ops.").size())));
  }
  Model model = make_model(read_archive(directory / entry(), operators));
  check_zip_file(directory / entry());  // also what only other readers read
  return model;
}

std::optional<Artifact::Model> Pt2Artifact::open(const std::filesystem::path& directory, const ModelCard&) const {
  return make_model(read_archive(directory / entry()));
}

}  // namespace lockstep
