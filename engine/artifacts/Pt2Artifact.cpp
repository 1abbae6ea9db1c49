#include "engine/artifacts/Pt2Artifact.h"

#include "engine/program/Archive.h"

namespace lockstep {

void Pt2Artifact::write(const Program& program, const std::filesystem::path& directory) const {
  write_archive(program, directory / entry());
}

Artifact::Model Pt2Artifact::read_back(const Program&, const std::filesystem::path& directory) const {
  return make_model(read_archive(directory / entry()));
}

}  // namespace lockstep
